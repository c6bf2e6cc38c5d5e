import DeploymentCore
import DeploymentStore
import Gateway
import HealthProbing
import Sandboxes

/// Keeps one promoted revision serving: restarts it when its process ends or it stops answering.
///
/// The first restart is immediate; later ones wait `firstBackOff`, doubling up to `longestBackOff`.
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

        var name: String {
            switch self {
            case .serving: "serving"
            case .restarting: "restarting"
            case .failed: "failed"
            }
        }

        var reason: String? {
            switch self {
            case .serving: nil
            case .restarting(let reason), .failed(let reason): reason
            }
        }
    }

    private struct Status {
        var state = State.serving
        var sandbox: String?
        var network: String?
        var output: OutputCapture?
        var restarts = 0
        var task: Task<Void, Never>?
    }

    private let workshop: Workshop
    private let tasks: OwnedTasks
    private let snapshot: Snapshot
    private let first: Replica?
    private let status = Locked(Status())

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
        }
    }

    /// Supervises a revision whose replica is gone: the first thing is to start one.
    init(workshop: Workshop, tasks: OwnedTasks, restarting snapshot: Snapshot, because reason: String) {
        self.workshop = workshop
        self.tasks = tasks
        self.snapshot = snapshot
        self.first = nil
        status.withLock { $0.state = .restarting(reason) }
    }

    var state: State { status.withLock(\.state) }
    var restarts: Int { status.withLock(\.restarts) }
    /// The sandbox that exists for it now.
    var currentSandbox: String? { status.withLock(\.sandbox) }
    /// What the replica can reach, in a few words; nil before there is one.
    var network: String? { status.withLock(\.network) }

    func begin() {
        let task = tasks.start { await self.run() }
        status.withLock { $0.task = task }
    }

    /// Ends the supervision; the sandbox stays until its owner removes it, for the reason that goes into its log.
    func stop(_ reason: String? = nil) async {
        if let reason { status.withLock(\.output)?.close(reason) }
        let task = status.withLock(\.task)
        task?.cancel()
        await task?.value
    }

    private func run() async {
        var serving = first
        var backOff: Duration?
        while !Task.isCancelled {
            if let replica = serving {
                let start = ContinuousClock.now
                let launcher = ReplicaLauncher(workshop: workshop, snapshot: snapshot, rollout: "standby")
                tasks.start { await launcher.refillStandbys(after: replica) }
                guard let reason = await waitUntilBroken(replica) else { return }
                if ContinuousClock.now - start > Self.stableAfter { backOff = nil }
                replica.output.close("restarting: \(reason)")
                status.withLock { status in
                    status.state = .restarting(reason)
                    status.restarts += 1
                }
            }
            if let wait = backOff {
                guard (try? await workshop.clock.sleep(for: wait, tolerance: nil)) != nil else { return }
            }
            backOff = min((backOff ?? Self.firstBackOff / 2) * 2, Self.longestBackOff)
            do {
                let replica = try await restart()
                serving = replica
                status.withLock { status in
                    status.state = .serving
                    status.network = replica.sandbox.network
                }
            } catch {
                if Task.isCancelled { return }
                serving = nil
                status.withLock { $0.state = .failed("\((error as? FailureWithOutput)?.error ?? error)") }
            }
        }
    }

    /// Why the replica has to be replaced; nil when the supervision ended first.
    private func waitUntilBroken(_ replica: Replica) async -> String? {
        let liveness = workshop.liveness
        let clock = workshop.clock
        return await withTaskGroup(of: String?.self) { group in
            group.addTask {
                guard let ending = await replica.output.exit.wait() else { return nil }
                return ending.map { "the app ended with \($0)" } ?? "the sandbox went away"
            }
            group.addTask {
                let outcome = await liveness.watch(
                    replica.sandbox, manifest: replica.snapshot.manifest, nonce: replica.expectedNonce,
                    tag: replica.expectedNonce == nil ? Replica.processTag : nil, clock: clock)
                return outcome.map { "liveness failed: \($0)" }
            }
            defer { group.cancelAll() }
            for await reason in group {
                if let reason { return reason }
                if Task.isCancelled { return nil }
            }
            return nil
        }
    }

    /// Starts a new replica, gives it the traffic, and removes what is left of the old one.
    private func restart() async throws -> Replica {
        let old = currentSandbox
        let environment = try await workshop.environments.environment(
            lock: snapshot.record.lock, python: snapshot.manifest.python, progress: { _ in })
        let launcher = ReplicaLauncher(workshop: workshop, snapshot: snapshot, rollout: "restart")
        let standby = await launcher.takeStandby(environment)
        // A cold start needs the memory of the old one; beside a standby the old one can wait.
        if standby == nil, let old { try await workshop.provider.destroy(old) }
        let id = standby?.sandbox.id ?? Identifier.random(16)
        let output = launcher.makeOutput()
        status.withLock { status in
            status.sandbox = id
            status.output = output
        }
        do {
            let replica = try await start(launcher, id, environment, standby, output)
            if standby != nil, let old { remove(old) }
            return replica
        } catch {
            output.close("stopped: the restart failed")
            let provider = workshop.provider
            for left in [id] + (standby == nil ? [] : [old].compactMap { $0 }) {
                try? await uncancelled { try await provider.destroy(left) }
            }
            throw error
        }
    }

    private func start(
        _ launcher: ReplicaLauncher, _ id: String, _ environment: BuiltEnvironment, _ standby: Standby?,
        _ output: OutputCapture
    ) async throws -> Replica {
        let place = try await launcher.place(id, environment: environment, standby: standby) {
            output.note("cold start, as the standby cannot be used: \($0)")
        }
        _ = try await launcher.upload(to: place.sandbox)
        let replica = try await launcher.start(in: place, output: output, tasks: tasks)
        try await launcher.waitUntilReady(replica) { _ in }
        try workshop.traffic.withLock { _ in
            try Task.checkCancellation()
            do {
                try workshop.store.replaceReplica(with: replica.record(restarts: restarts))
            } catch let error as BerthError where error.code == .storageFull {
                // The row only helps a later control plane to adopt; traffic does not wait for disk space.
                replica.output.note("\(error)")
            }
            workshop.gateway.publish(snapshot.name, replica.upstream)
        }
        return replica
    }

    /// Removes a sandbox that nobody waits for; what is left is swept up at the next start.
    private func remove(_ sandbox: String) {
        let provider = workshop.provider
        tasks.start { try? await provider.destroy(sandbox) }
    }
}
