import DeploymentCore
import DeploymentStore
import Gateway
import Sandboxes
import Waiting

/// The wish that a replica which serves be put to sleep.
struct RestCall: Sendable {
    /// The uses of the route that were counted when it was found idle.
    let uses: Int
    /// The route that it goes back to when it is not idle after all; nil is the replica itself.
    let previous: Upstream?
    let outcome = Promise<Result<Void, BerthError>>()
}

extension Supervisor {
    /// The time for a connection beyond the one that a request waits for the waking.
    static let connectReserve = Duration.seconds(5)

    /// Removes the replica and leaves the route, whose next request starts another one.
    ///
    /// - Throws: `conflict` when it does not serve, or somebody asked something since `uses` were counted.
    func fallAsleep(uses: Int, previous: Upstream?) async throws {
        let call = RestCall(uses: uses, previous: previous)
        let isTaken = status.withLock { status in
            guard let rest = status.rest, rest.current == nil else { return false }
            rest.fulfil(call)
            return true
        }
        guard isTaken else { throw BerthError(.conflict, "\(snapshot.name) cannot sleep, it is \(state.name)") }
        guard let outcome = await call.outcome.wait() else { throw CancellationError() }
        try outcome.get()
    }

    /// Wakes it as a request does; one that is awake is no error.
    ///
    /// - Throws: `unreachable` with the reason when it does not wake up.
    func wakeUp() async throws {
        guard let queue = status.withLock(\.queue) else { return }
        do {
            _ = try await queue.enter()
        } catch let error as RouteUnavailable {
            throw BerthError(.unreachable, error.detail, suggestion: "try again in \(error.retryAfter) s")
        }
    }

    /// The route of a deployment that sleeps; nil when it does not.
    var restingUpstream: Upstream? { status.withLock(\.queue).map(restingUpstream) }

    private func restingUpstream(_ queue: WakeQueue) -> Upstream {
        var upstream = Upstream.absent(snapshot)
        upstream.timeout = snapshot.manifest.predict.timeout
        upstream.connectDeadline = WakeQueue.deadline + Self.connectReserve
        upstream.restingHealth = ["status": "asleep", "model_loaded": false]
        upstream.connect = {
            let sandbox = try await queue.enter()
            return try await sandbox.connect(port: sandbox.port)
        }
        return upstream
    }

    /// Moves the traffic to the queue and gives the sandbox up, in that order; false when it goes on serving.
    func fallAsleep(_ replica: Replica, _ call: RestCall) -> Bool {
        let queue = WakeQueue(name: snapshot.name, clock: workshop.clock)
        do {
            try workshop.traffic.withLock { _ in
                try Task.checkCancellation()
                try giveUp(replica, call, queue)
            }
        } catch {
            status.withLock { $0.rest = Promise() }
            call.outcome.fulfil(
                .failure(error as? BerthError ?? BerthError(.interrupted, "\(snapshot.name) is stopped")))
            return false
        }
        CrashPoint.asleep.pass()
        status.withLock { status in
            status.state = .asleep(nil)
            status.output = nil
            status.rest = nil
            status.queue = queue
        }
        replica.output.close("asleep")
        remove(replica.sandbox.id)
        call.outcome.fulfil(.success(()))
        return true
    }

    /// The part under the lock of the traffic: all of it, or nothing.
    private func giveUp(_ replica: Replica, _ call: RestCall, _ queue: WakeQueue) throws {
        let name = snapshot.name
        let gateway = workshop.gateway
        guard gateway.statistics(name).map(\.uses) ?? 0 == call.uses else {
            throw BerthError(.conflict, "somebody asks something of \(name)")
        }
        guard try workshop.store.replica(of: snapshot.record.deployment)?.sandbox == replica.sandbox.id else {
            throw BerthError(.conflict, "another sandbox of \(name) has taken the traffic")
        }
        let drain = gateway.publish(name, restingUpstream(queue))
        do {
            guard drain?.isDrained ?? true else {
                throw BerthError(.conflict, "somebody asks something of \(name)")
            }
            CrashPoint.resting.pass()
            try workshop.store.fallAsleep(replica.record(restarts: restarts), event: event(.asleep))
        } catch {
            gateway.publish(name, call.previous ?? replica.upstream)
            // Whoever came meanwhile goes over to the route that is there again.
            queue.refuse(Self.ended(name))
            throw error
        }
    }

    /// Sleeps until somebody asks, then starts a replica; nil when that failed or the supervision ended.
    func wake(_ queue: WakeQueue, _ backOff: inout Duration?) async -> Replica? {
        guard await queue.isAsked() else { return nil }
        status.withLock { $0.state = .waking }
        do {
            let replica = try await restart(wokenAt: .now)
            status.withLock { status in
                status.state = .serving
                status.rest = Promise()
                status.queue = nil
            }
            queue.succeed(replica.sandbox)
            return replica
        } catch {
            if Task.isCancelled { return nil }
            let wait = Self.next(after: backOff)
            backOff = wait
            await refuse(queue, error, for: wait)
            return nil
        }
    }

    /// Tells those who wait why, and lets nobody try again for a while.
    private func refuse(_ queue: WakeQueue, _ error: any Error, for wait: Duration) async {
        let cause = (error as? FailureWithOutput)?.error ?? error
        let reason = VisibleText.of((cause as? BerthError)?.message ?? "\(cause)")
        status.withLock { $0.state = .asleep(reason) }
        try? workshop.store.append(event(.wakeFailed, reason))
        queue.refuse(
            RouteUnavailable(
                kind: "wake-failed", detail: "deployment \(snapshot.name) could not be woken: \(reason)",
                retryAfter: Int(wait.components.seconds)))
        guard (try? await workshop.clock.pause(for: wait)) != nil else { return }
        queue.open()
    }

    /// Lets nobody wait for a supervision that has ended.
    func refuseAll() {
        refuseRest()
        status.withLock(\.queue)?.refuse(Self.ended(snapshot.name))
    }

    /// Takes no more wishes for sleep, and refuses one that came too late.
    func refuseRest() {
        let asked = status.withLock { status in
            defer { status.rest = nil }
            return status.rest?.current
        }
        let name = snapshot.name
        asked?.outcome.fulfil(.failure(BerthError(.conflict, "\(name) cannot sleep, it does not serve any more")))
    }

    private static func ended(_ name: String) -> RouteUnavailable {
        RouteUnavailable(kind: "not-woken", detail: "deployment \(name) is being changed")
    }
}
