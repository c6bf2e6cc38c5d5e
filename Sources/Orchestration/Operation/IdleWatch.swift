import ControlAPI
import DeploymentCore
import Sandboxes

/// Pauses the deployments that nobody asks anything of, where their manifest wants it.
public struct IdleWatch: Sendable {
    /// The time between two looks.
    public static let interval = Duration.seconds(2)

    private let service: DeploymentService
    private let pauses: Pauses

    /// Creates a watch; `run()` does its work.
    public init(service: DeploymentService, pauses: Pauses) {
        self.service = service
        self.pauses = pauses
    }

    /// What was seen of a replica, and how long it has been so.
    private struct Quiet {
        let sandbox: String?
        let requests: Int
        let limit: Duration?
        var time = Duration.zero
    }

    /// Looks until the task is cancelled.
    public func run() async {
        let clock = service.workshop.clock
        var quiet: [String: Quiet] = [:]
        while (try? await clock.sleep(for: Self.interval, tolerance: nil)) != nil {
            guard let deployments = try? await pauses.deployments() else { continue }
            let serving = deployments.filter { $0.state == "serving" && $0.rollout == nil }
            var seen: [String: Quiet] = [:]
            for deployment in serving {
                seen[deployment.name] = await look(at: deployment, last: quiet[deployment.name])
            }
            quiet = seen
            for (name, entry) in quiet {
                guard let limit = entry.limit, entry.time >= limit else { continue }
                // A rollout or a request may have been faster; then it is not idle.
                _ = try? await pauses.pause(name, isForced: false)
            }
        }
    }

    private func look(at deployment: DeploymentResource, last: Quiet?) async -> Quiet {
        guard var last, last.sandbox == deployment.sandbox else {
            let manifest = try? await service.activeRevision(of: deployment).manifest
            return Quiet(
                sandbox: deployment.sandbox, requests: deployment.requests, limit: manifest?.idle?.pauseAfter)
        }
        guard last.requests == deployment.requests, deployment.inFlight == 0 else {
            return Quiet(sandbox: last.sandbox, requests: deployment.requests, limit: last.limit)
        }
        last.time += Self.interval
        return last
    }
}
