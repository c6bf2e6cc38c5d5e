import ControlAPI
import DeploymentCore
import DeploymentStore
import Gateway
import Sandboxes

/// The deployments that are paused: frozen, without processor time and with as little memory as the host allows.
///
/// The route of a paused deployment stays: the first request wakes it and is answered. A look at `/health` is none: the
/// gateway answers it, so that a monitor keeps nothing awake.
public actor Pauses {
    private struct Entry {
        let sandbox: any Sandbox
        let snapshot: Snapshot
    }

    private let service: DeploymentService
    private let directory: SandboxDirectory
    private var entries: [String: Entry] = [:]
    private var busy: Set<String> = []
    private var waiting: [String: [CheckedContinuation<Void, Never>]] = [:]

    private let visits = Locked<[String: Int]>([:])

    /// Somebody's stay in a sandbox, which lasts as long as this object.
    public final class Visit: Sendable {
        private let end: @Sendable () -> Void

        fileprivate init(_ end: @escaping @Sendable () -> Void) { self.end = end }

        deinit { end() }
    }

    /// Creates the list, empty so far.
    public init(service: DeploymentService, directory: SandboxDirectory) {
        self.service = service
        self.directory = directory
    }

    /// Gives the requests in flight the manifest's drain time, then freezes the sandbox; one that is paused or sleeps is
    /// no error.
    ///
    /// - Parameter isForced: whether it is frozen although somebody is inside, who then waits for its waking.
    /// - Throws: `not_found`, `conflict` when it does not serve or is being rolled out.
    public func pause(_ name: String, isForced: Bool = true) async throws -> DeploymentResource {
        try await alone(name) {
            let deployment = try await self.service.deployment(name)
            if await self.isPaused(deployment) || deployment.state == "asleep" { return }
            guard isForced || !self.isVisited(name) else { throw Self.visited(name) }
            try Self.requireServing(deployment, to: "be paused")
            let entry = Entry(
                sandbox: try await self.directory.sandbox(of: deployment),
                snapshot: try await self.service.activeRevision(of: deployment))
            try await self.freeze(name, entry)
        }
        return try await deployment(name)
    }

    private func freeze(_ name: String, _ entry: Entry) async throws {
        let drain = try replaceRoute(name, entry, pausedUpstream(name, entry))
        do {
            _ = await drain?.wait(upTo: entry.snapshot.manifest.rollout.drain)
            try await entry.sandbox.pause()
        } catch {
            _ = try? replaceRoute(name, entry, upstream(entry) {})
            throw error
        }
        note(.paused, entry.snapshot)
        entries[name] = entry
    }

    private func note(_ kind: LifecycleRecord.Kind, _ snapshot: Snapshot) {
        service.workshop.logs.note(kind.rawValue, of: snapshot)
        // An event that a full disk swallows must not keep a deployment from being woken.
        try? service.workshop.store.append(
            LifecycleRecord(deployment: snapshot.name, kind: kind, time: service.workshop.now()))
    }

    /// Lets a paused deployment go on, and wakes one that sleeps; any other is no error.
    ///
    /// - Throws: `unreachable` with the reason when it does not wake up.
    public func resume(_ name: String) async throws -> DeploymentResource {
        try await service.wakeUp(name)
        try await alone(name) {
            let deployment = try await self.service.deployment(name)
            try await self.thaw(name, deployment.sandbox)
        }
        return try await deployment(name)
    }

    /// Removes the sandbox of a deployment that has had no use since `uses` were counted; the next one starts another.
    ///
    /// - Throws: `not_found`, `conflict` when it is in use, does not serve or is being rolled out.
    func putToSleep(_ name: String, uses: Int) async throws {
        try await alone(name) {
            let deployment = try await self.service.deployment(name)
            guard !self.isVisited(name) else { throw Self.visited(name) }
            try Self.requireServing(deployment, to: "sleep")
            try await self.service.putToSleep(name, uses: uses, previous: await self.pausedUpstream(deployment))
            await self.forget(name)
        }
    }

    private func forget(_ name: String) { entries[name] = nil }

    private static func requireServing(_ deployment: DeploymentResource, to wish: String) throws {
        guard deployment.state == "serving", deployment.rollout == nil else {
            let state = deployment.stage.map { "being rolled out (\($0.rawValue))" } ?? deployment.state
            throw BerthError(.conflict, "\(deployment.name) cannot \(wish), it is \(state)")
        }
    }

    /// Whether somebody is inside.
    nonisolated func isVisited(_ name: String) -> Bool { visits.withLock { $0[name] ?? 0 } > 0 }

    private static func visited(_ name: String) -> BerthError { BerthError(.conflict, "somebody is inside \(name)") }

    /// What the first request does.
    private func wake(_ name: String, _ sandbox: String) async throws {
        try await alone(name) { try await self.thaw(name, sandbox) }
    }

    private func thaw(_ name: String, _ sandbox: String?) async throws {
        guard let entry = entries[name] else { return }
        // Another sandbox has taken its place meanwhile, so there is nothing left to wake.
        guard entry.sandbox.id == sandbox else {
            entries[name] = nil
            return
        }
        try await entry.sandbox.resume()
        entries[name] = nil
        _ = try? replaceRoute(name, entry, upstream(entry) {})
        note(.resumed, entry.snapshot)
    }

    /// - Throws: `conflict` when the sandbox no longer is the one that has the traffic.
    private func replaceRoute(_ name: String, _ entry: Entry, _ upstream: Upstream) throws -> DrainHandle? {
        let workshop = service.workshop
        return try workshop.traffic.withLock { _ in
            guard try workshop.store.replica(of: name)?.sandbox == entry.sandbox.id else {
                throw BerthError(.conflict, "another sandbox of \(name) has taken the traffic", suggestion: "try again")
            }
            return workshop.gateway.publish(name, upstream)
        }
    }

    /// The route of a deployment that is paused; nil for any other.
    private func pausedUpstream(_ deployment: DeploymentResource) -> Upstream? {
        guard isPaused(deployment), let entry = entries[deployment.name] else { return nil }
        return pausedUpstream(deployment.name, entry)
    }

    private func pausedUpstream(_ name: String, _ entry: Entry) -> Upstream {
        var upstream = upstream(entry) { [weak self] in try await self?.wake(name, entry.sandbox.id) }
        upstream.restingHealth = ["status": "paused", "model_loaded": true]
        // Who comes while the last requests end waits for them, too.
        upstream.connectDeadline = entry.snapshot.manifest.rollout.drain + Supervisor.connectReserve
        return upstream
    }

    private func upstream(_ entry: Entry, _ before: @escaping @Sendable () async throws -> Void) -> Upstream {
        let sandbox = entry.sandbox
        var upstream = Upstream.absent(entry.snapshot)
        upstream.timeout = entry.snapshot.manifest.predict.timeout
        upstream.connect = {
            try await before()
            return try await sandbox.connect(port: sandbox.port)
        }
        return upstream
    }

    // MARK: looking

    /// One deployment, whose state may be `paused`.
    public func deployment(_ name: String) async throws -> DeploymentResource {
        shown(try await service.deployment(name))
    }

    /// All deployments, whose state may be `paused`.
    public func deployments() async throws -> [DeploymentResource] { try await service.deployments().map(shown) }

    /// A deployment and its sandbox, to be gone into.
    ///
    /// - Throws: `not_found`, `conflict` when it is paused, sleeps or has no sandbox.
    public func enter(
        _ name: String
    ) async throws -> (deployment: DeploymentResource, sandbox: any Sandbox, visit: Visit) {
        let deployment = try await deployment(name)
        guard deployment.state != "paused", deployment.state != "asleep" else {
            throw BerthError(.conflict, "\(name) is \(deployment.state)", suggestion: "berth resume \(name)")
        }
        let sandbox = try await directory.sandbox(of: deployment)
        visits.withLock { $0[name, default: 0] += 1 }
        let visit = Visit { [visits] in
            visits.withLock { $0[name] = $0[name].flatMap { $0 > 1 ? $0 - 1 : nil } }
        }
        return (deployment, sandbox, visit)
    }

    private func shown(_ deployment: DeploymentResource) -> DeploymentResource {
        var shown = deployment
        if isPaused(deployment) { shown.state = "paused" }
        return shown
    }

    private func isPaused(_ deployment: DeploymentResource) -> Bool {
        deployment.state == "serving" && deployment.sandbox != nil
            && entries[deployment.name]?.sandbox.id == deployment.sandbox
    }

    /// Runs `body` while nothing else pauses or wakes the deployment.
    private func alone(_ name: String, _ body: @Sendable () async throws -> Void) async throws {
        while busy.contains(name) { await withCheckedContinuation { waiting[name, default: []].append($0) } }
        busy.insert(name)
        defer {
            busy.remove(name)
            for continuation in waiting.removeValue(forKey: name) ?? [] { continuation.resume() }
        }
        try await body()
    }
}

extension LogBook {
    fileprivate func note(_ line: String, of snapshot: Snapshot) {
        append([line], stream: "berth", deployment: snapshot.record.deployment, revision: snapshot.record.number)
    }
}
