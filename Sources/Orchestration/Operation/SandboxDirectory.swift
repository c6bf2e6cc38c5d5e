import ControlAPI
import DeploymentCore
import Sandboxes

/// The sandboxes that deployments run in now, each looked for again only when it is another one.
public final class SandboxDirectory: Sendable {
    private let service: DeploymentService
    private let known = Locked<[String: any Sandbox]>([:])

    /// Creates a directory, empty so far.
    public init(service: DeploymentService) { self.service = service }

    /// The sandbox of a deployment.
    ///
    /// - Throws: as `DeploymentService.sandbox(of:)`.
    public func sandbox(of deployment: DeploymentResource) async throws -> any Sandbox {
        if let sandbox = known.withLock({ $0[deployment.name] }), sandbox.id == deployment.sandbox { return sandbox }
        let sandbox = try await service.sandbox(of: deployment)
        known.withLock { $0[deployment.name] = sandbox }
        return sandbox
    }

    /// Forgets the sandboxes of all other deployments.
    func keep(_ names: Set<String>) { known.withLock { $0 = $0.filter { names.contains($0.key) } } }
}
