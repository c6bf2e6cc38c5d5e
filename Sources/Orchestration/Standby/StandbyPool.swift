import DeploymentCore
import Sandboxes
import Waiting

/// The standbys of all deployments: made in the background, taken by whoever starts a replica.
actor StandbyPool {
    private struct Entry {
        let recipe: StandbyRecipe
        let order: Int
        /// Told what goes wrong.
        let note: @Sendable (String) -> Void
        /// There once it is ready.
        var standby: Standby?
        /// Prepares it, and freezes it when nobody comes.
        var task: Task<Void, Never>?
    }

    private let provider: any SandboxProvider
    private let program: [UInt8]
    private let limit: Int
    private let clock: any Clock<Duration>
    private var entries: [String: Entry] = [:] {
        didSet { readyCount.withLock { $0 = Self.readyCount(entries.values) } }
    }
    private let readyCount = Locked<[String: Int]>([:])
    private var count = 0
    private var isClosed = false

    /// How long a standby waits before it is frozen and its memory given back.
    static let idleTime = Duration.seconds(60)

    /// - Parameter limit: the most standbys of all deployments together; the oldest make room for new ones.
    init(provider: any SandboxProvider, program: [UInt8], limit: Int, clock: any Clock<Duration>) {
        self.provider = provider
        self.program = program
        self.limit = limit
        self.clock = clock
    }

    /// How many standbys a deployment has.
    nonisolated func ready(for deployment: String) -> Int { readyCount.withLock { $0[deployment] ?? 0 } }

    private static func readyCount(_ entries: some Sequence<Entry>) -> [String: Int] {
        entries.reduce(into: [:]) { counts, entry in
            if entry.standby != nil { counts[entry.recipe.deployment, default: 0] += 1 }
        }
    }

    /// A standby that is ready for the recipe; it belongs to the caller then.
    func take(_ recipe: StandbyRecipe) async -> Standby? {
        let ready = entries.filter { $0.value.recipe == recipe && $0.value.standby != nil }
        guard let oldest = ready.min(by: { $0.value.order < $1.value.order }) else { return nil }
        entries[oldest.key] = nil
        oldest.value.task?.cancel()
        await oldest.value.task?.value
        // One that does not wake up is found out by whoever uses it.
        if let standby = oldest.value.standby, standby.sandbox.isPaused { try? await standby.sandbox.resume() }
        return oldest.value.standby
    }

    /// Begins to prepare what is missing to `wanted` standbys of the recipe, and removes the deployment's others.
    func refill(
        _ recipe: StandbyRecipe, names: [UInt8], wanted: Int, note: @escaping @Sendable (String) -> Void
    ) async {
        await discard(recipe.deployment) { $0 != recipe }
        let missing = min(wanted, limit) - entries.values.count { $0.recipe == recipe }
        guard !isClosed, missing > 0 else { return }
        for _ in 0..<missing { prepare(recipe, names, note) }
        while entries.count > limit, let oldest = entries.min(by: { $0.value.order < $1.value.order }) {
            await remove(oldest.key)
        }
    }

    /// Removes the standbys of a deployment.
    func discard(_ deployment: String) async { await discard(deployment) { _ in true } }

    /// Removes every standby; none is made any more.
    func close() async {
        isClosed = true
        for id in Array(entries.keys) { await remove(id) }
    }

    private func discard(_ deployment: String, where isUnwanted: (StandbyRecipe) -> Bool) async {
        let unwanted = entries.filter { $0.value.recipe.deployment == deployment && isUnwanted($0.value.recipe) }
        for id in unwanted.keys { await remove(id) }
    }

    private func prepare(_ recipe: StandbyRecipe, _ names: [UInt8], _ note: @escaping @Sendable (String) -> Void) {
        let id = Identifier.random(16)
        count += 1
        let task = Task {
            do {
                let standby = try await withDeadline(
                    Standby.deadline, clock: clock,
                    BerthError(.startFailed, "the imports were not done within \(Standby.deadline)")
                ) { [provider, program] in
                    try await Standby.prepare(recipe, id: id, program: program, names: names, provider: provider)
                }
                entries[id]?.standby = standby
                guard (try? await clock.pause(for: Self.idleTime)) != nil else { return }
                try? await standby.sandbox.pause()
            } catch {
                // Taken out by somebody else, it is theirs to destroy.
                guard entries.removeValue(forKey: id) != nil else { return }
                try? await uncancelled { [provider] in try await provider.destroy(id) }
                note("no standby, the next start is a cold one: \(error)")
            }
        }
        entries[id] = Entry(recipe: recipe, order: count, note: note, task: task)
    }

    private func remove(_ id: String) async {
        guard let entry = entries.removeValue(forKey: id) else { return }
        entry.task?.cancel()
        await entry.task?.value
        do {
            try await uncancelled { [provider] in try await provider.destroy(id) }
        } catch {
            entry.note("the standby \(id) was not removed: \(error)")
        }
    }
}
