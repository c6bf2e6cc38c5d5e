import ControlAPI
import DeploymentCore
import Gateway
import Sandboxes
import Waiting

/// Pauses the deployments that nobody asks anything of, and later puts them to sleep, where their manifest wants it.
///
/// Looks at `/health` are no requests here, and somebody inside keeps a deployment awake.
public struct IdleWatch: Sendable {
    /// The time between two looks.
    public static let interval = Duration.seconds(2)

    private let service: DeploymentService
    private let pauses: Pauses
    /// The deployments that are being paused or put to sleep.
    private let busy = Locked<Set<String>>([])

    /// Creates a watch; `run()` does its work.
    public init(service: DeploymentService, pauses: Pauses) {
        self.service = service
        self.pauses = pauses
    }

    /// What was seen of a replica, and how long it has been so.
    private struct Quiet {
        let sandbox: String?
        let idle: Manifest.Idle?
        var uses: Int
        var time = Duration.zero
    }

    /// Looks until the task is cancelled.
    public func run() async {
        let clock = service.workshop.clock
        var quiet: [String: Quiet] = [:]
        await withDiscardingTaskGroup { group in
            while (try? await clock.pause(for: Self.interval)) != nil {
                guard let deployments = try? await pauses.deployments() else { continue }
                var seen: [String: Quiet] = [:]
                for deployment in deployments
                where ["serving", "paused"].contains(deployment.state) && deployment.rollout == nil {
                    let entry = await look(at: deployment, last: quiet[deployment.name])
                    seen[deployment.name] = entry
                    guard let step = step(deployment, entry), begin(deployment.name) else { continue }
                    // One that takes its time must not keep the others awake.
                    group.addTask {
                        // A rollout or a request may have been faster; then it is not idle.
                        try? await step()
                        end(deployment.name)
                    }
                }
                quiet = seen
            }
        }
    }

    private func begin(_ name: String) -> Bool { busy.withLock { $0.insert(name).inserted } }
    private func end(_ name: String) { busy.withLock { _ = $0.remove(name) } }

    /// What is due after so long a quiet.
    private func step(_ deployment: DeploymentResource, _ quiet: Quiet) -> (@Sendable () async throws -> Void)? {
        let name = deployment.name
        let pauses = pauses
        if let limit = quiet.idle?.stopAfter, quiet.time >= limit {
            return { [uses = quiet.uses] in try await pauses.putToSleep(name, uses: uses) }
        }
        if let limit = quiet.idle?.pauseAfter, quiet.time >= limit, deployment.state == "serving" {
            return { _ = try await pauses.pause(name, isForced: false) }
        }
        return nil
    }

    private func look(at deployment: DeploymentResource, last: Quiet?) async -> Quiet {
        let statistics = service.workshop.gateway.statistics(deployment.name)
        let uses = statistics?.uses ?? 0
        guard var last, last.sandbox == deployment.sandbox else {
            let manifest = try? await service.activeRevision(of: deployment).manifest
            return Quiet(sandbox: deployment.sandbox, idle: manifest?.idle, uses: uses)
        }
        guard last.uses == uses, (statistics?.usesInFlight ?? 0) == 0, !pauses.isVisited(deployment.name) else {
            return Quiet(sandbox: last.sandbox, idle: last.idle, uses: uses)
        }
        last.time += Self.interval
        return last
    }
}
