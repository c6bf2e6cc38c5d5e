import DeploymentCore
import E2BProtocol
import Sandboxes
import Waiting

/// Sandboxes of nobody that mount one volume each, in which its contents are read and written: nothing of a volume is
/// opened by the host. One is made when it is needed, and removed when it was not for a while.
final class VolumeKeepers: Sendable {
    /// What such sandboxes carry as their rollout.
    static let label = "volume-keeper"
    /// How long one is kept that nobody needs, in milliseconds.
    static let rest: Int64 = 60_000
    /// The most at once; those that nobody uses make room.
    static let maximum = 32
    private static let answerLimit = Duration.seconds(5)

    private struct Keeper {
        let id: String
        let making: Task<any Sandbox, any Error>
        var guests = 0
    }

    private struct State {
        var keepers: [String: Keeper] = [:]
        var isClosed = false
    }

    private let provider: any SandboxProvider
    /// Where the folders of volumes are.
    private let folder: String
    private let now: @Sendable () -> Int64
    private let announce: @Sendable (String) -> Void
    private let wheel: ExpiryWheel
    private let state = Locked(State())

    init(
        provider: any SandboxProvider, folder: String, clock: any Clock<Duration>,
        now: @escaping @Sendable () -> Int64, announce: @escaping @Sendable (String) -> Void
    ) {
        self.provider = provider
        self.folder = folder
        self.now = now
        self.announce = announce
        wheel = ExpiryWheel(clock: clock, now: now)
    }

    /// A use of a keeper, which stays as long as this object.
    final class Stay: Sendable {
        /// Its agent, as whoever may do everything inside.
        let owner: EnvdClient
        private let leave: @Sendable () -> Void

        init(owner: EnvdClient, leave: @escaping @Sendable () -> Void) {
            self.owner = owner
            self.leave = leave
        }

        deinit { leave() }
    }

    /// Begins to use a volume's keeper; one that has ended by itself is replaced.
    ///
    /// - Throws: what the engine says.
    func enter(_ volume: String) async throws -> Stay {
        if let stay = try await take(volume) { return stay }
        if let stay = try await take(volume) { return stay }
        throw BerthError(.unreachable, "the sandbox of volume \(volume) does not answer")
    }

    /// Removes what nobody needed for a while, until the task is cancelled.
    func run() async {
        await wheel.run { [self] volume in
            let unused = state.withLock { state in
                state.keepers[volume]?.guests == 0 ? state.keepers.removeValue(forKey: volume) : nil
            }
            if let unused { await remove(unused) }
        }
    }

    /// Removes a volume's keeper, whoever uses it.
    func end(_ volume: String) async {
        if let keeper = state.withLock({ $0.keepers.removeValue(forKey: volume) }) { await remove(keeper) }
    }

    /// Removes all, and makes none any more.
    func close() async {
        let left = state.withLock { state in
            state.isClosed = true
            defer { state.keepers = [:] }
            return Array(state.keepers.values)
        }
        for keeper in left { await remove(keeper) }
    }

    /// Removes what an earlier control plane left; returns what could not be removed.
    func sweep() async throws -> [String] {
        var failures: [String] = []
        for record in try await provider.list() where record.labels.rollout == Self.label {
            do {
                try await provider.destroy(record.id)
            } catch {
                failures.append("sandbox \(record.id) of a volume was not removed: \(error)")
            }
        }
        return failures
    }

    /// nil when the keeper that was there does not answer any more; it is removed then.
    private func take(_ volume: String) async throws -> Stay? {
        let (keeper, unused) = try state.withLock { state in
            guard !state.isClosed else {
                throw ControlFailure(503, "the server is being stopped", shouldRetry: false)
            }
            var unused: Keeper?
            if state.keepers[volume] == nil, state.keepers.count >= Self.maximum {
                guard let other = state.keepers.first(where: { $0.value.guests == 0 }) else {
                    throw ControlFailure(429, "\(Self.maximum) volumes are read and written already", retryAfter: 1)
                }
                unused = state.keepers.removeValue(forKey: other.key)
            }
            var keeper = state.keepers[volume] ?? make(volume)
            keeper.guests += 1
            state.keepers[volume] = keeper
            return (keeper, unused)
        }
        if let unused { await remove(unused) }
        wheel.set(volume, at: nil)
        do {
            let sandbox = try await keeper.making.value
            guard let agent = sandbox.agent else { throw BerthError(.sandbox, "a volume's sandbox has no agent") }
            do {
                try await agent.checkHealth(timeout: Self.answerLimit)
            } catch is BerthError {
                await drop(volume, keeper)
                return nil
            }
            return Stay(owner: sandbox.ownsIdentities ? agent.acting(as: "root") : agent) { [weak self] in
                self?.leave(volume, keeper.id)
            }
        } catch {
            await drop(volume, keeper)
            throw error
        }
    }

    private func make(_ volume: String) -> Keeper {
        let id = "v\(Identifiers.random())"
        var specification = SandboxSpecification(
            id: id, labels: SandboxLabels(deployment: "", nonce: "", rollout: Self.label))
        specification.volumes = [.init(source: "\(folder)/\(volume)", target: VolumeScript.place)]
        let wanted = specification
        return Keeper(id: id, making: Task { [provider] in try await provider.create(wanted) })
    }

    private func leave(_ volume: String, _ id: String) {
        let isUnused = state.withLock { state in
            guard state.keepers[volume]?.id == id else { return false }
            state.keepers[volume]?.guests -= 1
            return state.keepers[volume]?.guests == 0
        }
        if isUnused { wheel.set(volume, at: now() + Self.rest) }
    }

    private func drop(_ volume: String, _ keeper: Keeper) async {
        let isTheirs = state.withLock { state in
            guard state.keepers[volume]?.id == keeper.id else { return false }
            state.keepers[volume] = nil
            return true
        }
        if isTheirs { await remove(keeper) }
    }

    private func remove(_ keeper: Keeper) async {
        do {
            try await uncancelled { [provider] in
                // One that could not be made left nothing.
                guard (try? await keeper.making.value) != nil else { return }
                try await provider.destroy(keeper.id)
            }
        } catch {
            announce("sandbox \(keeper.id) of a volume is not removed before the next start: \(error)")
        }
    }
}
