import DeploymentCore
import DeploymentStore
import Gateway
import HealthProbing
import Sandboxes
import Waiting

extension Supervisor {
    /// The most attempts to remove a sandbox that nobody waits for; what is left then is swept up at the next start.
    static let removalAttempts = 8
    /// How long the agent of a sandbox elsewhere may take to answer.
    static let reachTimeout = Duration.seconds(5)

    /// Starts a new replica, gives it the traffic, and removes what is left of the old one.
    ///
    /// - Parameters:
    ///   - wokenAt: when it was asked to wake up; nil for a restart.
    ///   - isTriedAgain: whether the start before did not hold, or ran into a limit.
    func restart(wokenAt: ContinuousClock.Instant? = nil, isTriedAgain: Bool = false) async throws -> Replica {
        let old = currentSandbox
        let launcher = try ReplicaLauncher(
            workshop: workshop, snapshot: snapshot, rollout: "restart", isTriedAgain: isTriedAgain)
        let provider = launcher.provider
        if let old, status.withLock(\.isUnknown) {
            if let replica = try await takeHold(of: old, launcher) { return replica }
            status.withLock { $0.isUnknown = false }
        }
        let environment = try await launcher.environment()
        let standby = await launcher.takeStandby(environment)
        // A cold start needs the memory of the old one; beside a standby the old one can wait, and so can what is left of
        // a sandbox from before a sleep.
        let isOldInTheWay = standby == nil && wokenAt == nil
        if isOldInTheWay, let old { try await provider.destroy(old) }
        let id = standby?.sandbox.id ?? Identifier.random(16)
        let output = launcher.makeOutput()
        status.withLock { status in
            status.sandbox = id
            status.output = output
        }
        do {
            let replica = try await start(launcher, id, environment, standby, output, wokenAt)
            if !isOldInTheWay, let old { remove(old) }
            return replica
        } catch {
            output.close("stopped: the \(wokenAt == nil ? "restart" : "waking") failed")
            for left in [id] + (isOldInTheWay ? [] : [old].compactMap { $0 }) {
                try? await uncancelled { try await provider.destroy(left) }
            }
            throw error
        }
    }

    private func start(
        _ launcher: ReplicaLauncher, _ id: String, _ environment: BuiltEnvironment, _ standby: Standby?,
        _ output: OutputCapture, _ wokenAt: ContinuousClock.Instant?
    ) async throws -> Replica {
        let place = try await launcher.place(id, environment: environment, standby: standby) {
            output.note("cold start, as the standby cannot be used: \($0)")
        }
        try await launcher.complete(place.sandbox)
        _ = try await launcher.upload(to: place.sandbox)
        let replica = try await launcher.start(in: place, output: output, tasks: tasks)
        do {
            try await launcher.waitUntilReady(
                replica, followedBy: place.standby == nil ? launcher.followingRecipe(environment) : nil)
        } catch let error as BerthError {
            throw BerthError(
                error.code, Replica.explained(error.message, await replica.sandbox.exceededLimits()),
                suggestion: error.suggestion, cause: error.cause)
        }
        let woken = wokenAt.map { since in
            let way = place.standby == nil ? "cold start" : "standby"
            return "\(way), \(Int((ContinuousClock.now - since).milliseconds)) ms"
        }
        CrashPoint.waking.pass(if: woken != nil)
        try expose(replica, woken)
        if let woken { output.note("woken: \(woken)") }
        return replica
    }

    /// Takes hold of a replica that an earlier control plane started; nil when it is gone.
    private func takeHold(of sandbox: String, _ launcher: ReplicaLauncher) async throws -> Replica? {
        let replica: Replica
        do {
            let sandbox = try await launcher.provider.adopt(sandbox)
            let process = try await sandbox.process(tagged: Replica.processTag)
            replica = launcher.capture(process, in: sandbox, output: launcher.makeOutput(), tasks: tasks)
        } catch let error as BerthError where error.code == .notFound {
            return nil
        }
        try expose(replica, nil)
        status.withLock { status in
            status.isUnknown = false
            status.output = replica.output
        }
        return replica
    }

    /// Gives a replica the traffic.
    ///
    /// - Parameter woken: how it was woken up; nil when it was restarted.
    private func expose(_ replica: Replica, _ woken: String?) throws {
        try workshop.traffic.withLock { _ in
            try Task.checkCancellation()
            do {
                try workshop.store.replaceReplica(
                    with: replica.record(restarts: restarts),
                    event: woken.map { event(.woken, $0) })
            } catch let error as BerthError where error.code == .storageFull {
                // The row only helps a later control plane to adopt (without it, what was woken sleeps again then);
                // traffic does not wait for disk space.
                replica.output.note("\(error)")
            }
            CrashPoint.awake.pass(if: woken != nil)
            workshop.gateway.publish(snapshot.name, replica.upstream)
        }
    }

    /// Suspends until the replica has failed its probes; nil when cancelled.
    ///
    /// One elsewhere that merely cannot be reached is not replaced: another one could not be reached either.
    func livenessFailure(of replica: Replica) async -> ProbeOutcome? {
        while let outcome = await workshop.liveness.watch(
            replica.sandbox, manifest: replica.snapshot.manifest, nonce: replica.expectedNonce,
            tag: replica.expectedNonce == nil ? Replica.processTag : nil, clock: workshop.clock)
        {
            guard replica.sandbox.origin != nil, let agent = replica.sandbox.agent else { return outcome }
            do {
                try await agent.checkHealth(timeout: Self.reachTimeout)
                return outcome
            } catch let error as BerthError where [.unreachable, .timeout].contains(error.code) {
                replica.output.note(
                    "liveness failed: \(outcome), but nothing else in the sandbox is in reach: \(error)")
            } catch {
                return outcome
            }
        }
        return nil
    }

    /// Removes a sandbox that nobody waits for, trying again when that fails.
    func remove(_ sandbox: String) {
        // One that is not set up any more cannot be asked; the service ends what nobody extends.
        guard let provider = try? workshop.provider(of: snapshot.manifest) else { return }
        let clock = workshop.clock
        tasks.start {
            var wait = Self.firstBackOff
            for _ in 0..<Self.removalAttempts {
                do {
                    try await provider.destroy(sandbox)
                    return self.status.withLock { if $0.sandbox == sandbox { $0.sandbox = nil } }
                } catch {
                    guard (try? await clock.pause(for: wait)) != nil else { return }
                    wait = Self.next(after: wait)
                }
            }
        }
    }

    func event(_ kind: LifecycleRecord.Kind, _ detail: String = "") -> LifecycleRecord {
        LifecycleRecord(deployment: snapshot.record.deployment, kind: kind, detail: detail, time: workshop.now())
    }
}

extension Replica {
    /// A reason together with the limits that the sandbox ran into, which often are the true one.
    static func explained(_ reason: String, _ limits: [ExceededLimit]) -> String {
        limits.isEmpty ? reason : "\(reason) (\(limits.map(\.description).joined(separator: "; ")))"
    }
}
