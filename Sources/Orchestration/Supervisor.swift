import DeploymentCore
import DeploymentStore
import Gateway
import Sandboxes
import Waiting

/// Keeps one promoted revision serving: restarts it when its process ends or it stops answering, and lets it sleep
/// without a sandbox when nobody asks anything of it.
///
/// The first restart is immediate; later ones wait `firstBackOff`, doubling up to `longestBackOff`. A waking that fails
/// is tried again by the next request after the same waits.
final class Supervisor: Sendable {
    static let firstBackOff = Duration.seconds(1)
    static let longestBackOff = Duration.seconds(60)
    /// A replica that served this long is no longer held to its earlier failures.
    static let stableAfter = Duration.seconds(600)

    /// Where the deployment stands.
    enum State: Sendable, Equatable {
        case serving
        case restarting(String)
        /// A restart failed; the next one is waiting.
        case failed(String)
        /// There is no sandbox until somebody asks; with why the last waking failed.
        case asleep(String?)
        case waking

        var name: String {
            switch self {
            case .serving: "serving"
            case .restarting: "restarting"
            case .failed: "failed"
            case .asleep: "asleep"
            case .waking: "waking"
            }
        }

        var reason: String? {
            switch self {
            case .serving, .waking: nil
            case .restarting(let reason), .failed(let reason): reason
            case .asleep(let reason): reason.map { "the last waking failed: \($0)" }
            }
        }
    }

    struct Status {
        var state = State.serving
        var sandbox: String?
        /// Whether it could not be asked yet what became of the sandbox.
        var isUnknown = false
        var network: String?
        var output: OutputCapture?
        var restarts = 0
        var task: Task<Void, Never>?
        /// Takes the wish that a replica be put to sleep, from the moment it serves.
        var rest: Promise<RestCall>?
        /// Those who wait for the waking, while it sleeps or wakes.
        var queue: WakeQueue?
    }

    let workshop: Workshop
    let tasks: OwnedTasks
    let snapshot: Snapshot
    private let first: Replica?
    let status = Locked(Status())

    /// Supervises a replica that serves already.
    init(workshop: Workshop, tasks: OwnedTasks, replica: Replica, restarts: Int) {
        self.workshop = workshop
        self.tasks = tasks
        self.snapshot = replica.snapshot
        self.first = replica
        status.withLock { status in
            status.sandbox = replica.sandbox.id
            status.network = replica.sandbox.network
            status.output = replica.output
            status.restarts = restarts
            status.rest = Promise()
        }
    }

    /// Supervises a revision whose replica is gone: the first thing is to start one.
    ///
    /// - Parameter sandbox: the one of an earlier control plane whose provider does not answer yet, which is taken hold of
    ///   once it does; nil when there is none.
    init(
        workshop: Workshop, tasks: OwnedTasks, restarting snapshot: Snapshot, unknown sandbox: String?,
        because reason: String
    ) {
        self.workshop = workshop
        self.tasks = tasks
        self.snapshot = snapshot
        self.first = nil
        status.withLock { status in
            status.state = .restarting(reason)
            status.sandbox = sandbox
            status.isUnknown = sandbox != nil
        }
    }

    /// Supervises a revision that sleeps; `restingUpstream` is its route.
    init(workshop: Workshop, tasks: OwnedTasks, asleep snapshot: Snapshot) {
        self.workshop = workshop
        self.tasks = tasks
        self.snapshot = snapshot
        self.first = nil
        let queue = WakeQueue(name: snapshot.name, clock: workshop.clock)
        status.withLock { status in
            status.state = .asleep(nil)
            status.queue = queue
        }
    }

    var state: State { status.withLock(\.state) }
    var restarts: Int { status.withLock(\.restarts) }
    /// The sandbox that exists for it, or did and could not be removed yet.
    var currentSandbox: String? { status.withLock(\.sandbox) }
    /// What the replica can reach, in a few words; nil before there is one.
    var network: String? { status.withLock(\.network) }

    func begin() {
        let task = tasks.start { await self.run() }
        status.withLock { $0.task = task }
        if task == nil { refuseAll() }
    }

    /// Ends the supervision; the sandbox stays until its owner removes it, for the reason that goes into its log.
    func stop(_ reason: String? = nil) async {
        if let reason { status.withLock(\.output)?.close(reason) }
        let task = status.withLock(\.task)
        task?.cancel()
        await task?.value
    }

    private func run() async {
        defer { refuseAll() }
        var serving = first
        var backOff: Duration?
        var isOffender = false
        if status.withLock({ $0.queue != nil }), let launcher = standbyLauncher {
            tasks.start { await launcher.refillStandbysOfSleeper() }
        }
        while !Task.isCancelled {
            if let replica = serving {
                serving = nil
                let start = ContinuousClock.now
                if let launcher = standbyLauncher {
                    tasks.start { await launcher.refillStandbys(after: replica) }
                }
                switch await waitForEnd(of: replica) {
                case .stopped: return
                case .asleep: backOff = nil
                case .broken(let reason, let isOverLimit):
                    isOffender = isOverLimit
                    if ContinuousClock.now - start > Self.stableAfter { backOff = nil }
                    replica.output.close("restarting: \(reason)")
                    status.withLock { status in
                        status.state = .restarting(reason)
                        status.restarts += 1
                    }
                }
            }
            if let queue = status.withLock(\.queue) {
                serving = await wake(queue, &backOff)
                continue
            }
            if let wait = backOff {
                guard (try? await workshop.clock.pause(for: wait)) != nil else { return }
            }
            let isTriedAgain = backOff != nil || isOffender
            backOff = Self.next(after: backOff)
            do {
                let replica = try await restart(isTriedAgain: isTriedAgain)
                serving = replica
                status.withLock { status in
                    status.state = .serving
                    status.network = replica.sandbox.network
                    status.rest = Promise()
                }
            } catch {
                if Task.isCancelled { return }
                status.withLock { $0.state = .failed("\((error as? FailureWithOutput)?.error ?? error)") }
            }
        }
    }

    private var standbyLauncher: ReplicaLauncher? {
        try? ReplicaLauncher(workshop: workshop, snapshot: snapshot, rollout: "standby")
    }

    static func next(after backOff: Duration?) -> Duration { min((backOff ?? firstBackOff / 2) * 2, longestBackOff) }

    /// Why a replica serves no more.
    private enum End {
        case broken(String, isOverLimit: Bool)
        case asleep
        /// The supervision ended first.
        case stopped
    }

    private enum Event: Sendable {
        case broken(String)
        case rest(RestCall)
    }

    private func waitForEnd(of replica: Replica) async -> End {
        while let asked = status.withLock(\.rest) {
            switch await nextEvent(replica, asked) {
            case .rest(let call):
                if fallAsleep(replica, call) { return .asleep }
            case .broken(let reason):
                refuseRest()
                let limits = await replica.sandbox.exceededLimits()
                return .broken(Replica.explained(reason, limits), isOverLimit: !limits.isEmpty)
            case nil: return .stopped
            }
        }
        return .stopped
    }

    /// What happens to the replica next; nil when the supervision ended first.
    private func nextEvent(_ replica: Replica, _ asked: Promise<RestCall>) async -> Event? {
        await withTaskGroup(of: Event?.self) { group in
            group.addTask {
                guard let ending = await replica.output.exit.wait() else { return nil }
                return .broken(ending.map { "the app ended with \($0)" } ?? "the sandbox went away")
            }
            group.addTask {
                await self.livenessFailure(of: replica).map { .broken("liveness failed: \($0)") }
            }
            group.addTask { await asked.wait().map { .rest($0) } }
            defer { group.cancelAll() }
            for await event in group {
                if let event { return event }
                if Task.isCancelled { return nil }
            }
            return nil
        }
    }
}
