import ControlAPI
import DeploymentCore
import DeploymentStore
import Gateway
import Waiting

extension DeploymentService {
    /// The latest end that can be asked for, from now: ten years, in milliseconds.
    public static let longestLife: Int64 = 3_650 * 86_400_000
    /// The most events that are given at once.
    public static let maximumEvents = 1_000

    // MARK: sleep

    /// Removes the replica of a deployment that nobody has used since `uses` were counted.
    ///
    /// - Parameter previous: the route to go back to when it is in use after all; nil is the replica itself.
    func putToSleep(_ name: String, uses: Int, previous: Upstream?) async throws {
        try prepareToBegin(on: name)
        guard let supervisor = supervisors[name] else {
            throw BerthError(.conflict, "\(name) cannot sleep, nothing of it serves")
        }
        try await supervisor.fallAsleep(uses: uses, previous: previous)
    }

    /// Wakes a deployment that sleeps, as a request would; any other is no error.
    ///
    /// - Throws: `not_found`; `unreachable` with the reason when it does not wake up.
    func wakeUp(_ name: String) async throws {
        _ = try listed(name)
        try await supervisors[name]?.wakeUp()
    }

    // MARK: expiry

    /// Moves the time at which a deployment is destroyed.
    ///
    /// - Parameters:
    ///   - milliseconds: how long it lives from now on, up to `longestLife`; nil is until somebody destroys it.
    ///   - isExact: whether that may be less than it had; otherwise the later end of both counts.
    /// - Throws: `not_found`, `usage` for a time that makes no sense, `conflict` when its end has begun.
    public func extend(_ name: String, milliseconds: Int64?, isExact: Bool) throws -> DeploymentResource {
        let deployment = try listed(name)
        try prepareToBegin(on: name)
        if let milliseconds, !(1...Self.longestLife).contains(milliseconds) {
            throw BerthError(.usage, "a deployment lives from 1 ms up to ten years longer, not \(milliseconds) ms")
        }
        let wanted = milliseconds.map { workshop.now() + $0 }
        var expiresAt = wanted
        // No end is the latest of all.
        if !isExact { expiresAt = deployment.expiresAt.flatMap { current in wanted.map { max(current, $0) } } }
        guard expiresAt != deployment.expiresAt else { return try self.deployment(name) }
        let event = LifecycleRecord(
            deployment: name, kind: .extended, detail: expiresAt.map(LogBook.timestamp) ?? "never", time: workshop.now()
        )
        try workshop.store.setExpiry(of: name, at: expiresAt, event: event)
        workshop.expiries.set(name, at: expiresAt)
        return try self.deployment(name)
    }

    /// Destroys deployments as their time comes, and those whose end could not be finished, until the task is cancelled.
    ///
    /// - Parameter report: told what happened, for the control plane's log.
    public nonisolated func expireDeployments(_ report: @escaping @Sendable (String) -> Void) async {
        await workshop.expiries.run { name in
            do {
                if let reason = try await self.expire(name) { report("deployment \(name) \(reason) and is destroyed") }
            } catch let error as RolloutRuns {
                throw error
            } catch {
                report("deployment \(name) is over and was not destroyed yet: \(error)")
                throw error
            }
        }
    }

    /// A rollout may bring a new end with it, so an old one waits.
    private struct RolloutRuns: Error {}

    /// Why it is destroyed; nil when its end was moved, or it is gone already.
    private func expire(_ name: String) async throws -> String? {
        guard let deployment = try workshop.store.deployment(name) else { return nil }
        if deployment.isEnding {
            try await end(name, because: nil)
            return "was left over"
        }
        guard let expiresAt = deployment.expiresAt, expiresAt <= workshop.now() else { return nil }
        guard try workshop.store.runningRollouts(of: name).isEmpty else { throw RolloutRuns() }
        try await end(
            name, because: LifecycleRecord(deployment: name, kind: .expired, time: workshop.now()))
        return "has expired"
    }

    // MARK: events

    /// What happened to a deployment, or to all: the newest `limit` after `id`, oldest first.
    public nonisolated func lifecycle(of name: String?, after id: Int64, limit: Int) throws -> [LifecycleResource] {
        let count = min(max(limit, 0), Self.maximumEvents)
        return try workshop.store.lifecycle(of: name, after: id, limit: count).map { record in
            LifecycleResource(
                id: record.id ?? 0, deployment: record.deployment, kind: record.kind.rawValue, detail: record.detail,
                time: record.time)
        }
    }
}
