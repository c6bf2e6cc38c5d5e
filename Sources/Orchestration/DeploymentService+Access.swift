import ControlAPI
import DeploymentCore
import DeploymentStore
import Sandboxes

extension DeploymentService {
    /// The sandbox that a deployment runs in.
    ///
    /// - Throws: `conflict` when it has no sandbox that could be entered.
    func sandbox(of deployment: DeploymentResource) async throws -> any Sandbox {
        guard let id = deployment.sandbox else { throw Self.notInside(deployment) }
        do {
            return try await workshop.provider(of: try activeRevision(of: deployment).manifest).adopt(id)
        } catch let error as BerthError where error.code == .notFound {
            throw Self.notInside(deployment)
        }
    }

    private static func notInside(_ deployment: DeploymentResource) -> BerthError {
        BerthError(
            .conflict, "\(deployment.name) has no sandbox to go into, its state is \(deployment.state)",
            suggestion: "`berth status \(deployment.name)` says more")
    }

    /// The revision that has a deployment's traffic.
    func activeRevision(of deployment: DeploymentResource) throws -> Snapshot {
        guard let number = deployment.revision,
            let record = try workshop.store.revision(number, of: deployment.name)
        else { throw BerthError(.conflict, "\(deployment.name) serves no revision") }
        return try Snapshot(record)
    }

    /// Where the app of a deployment runs, and with which variables.
    ///
    /// - Throws: `not_found` when there is none of that name, `conflict` when nothing of it runs.
    public func access(to deployment: DeploymentResource, in sandbox: any Sandbox) async throws -> AccessResource {
        let snapshot = try activeRevision(of: deployment)
        let record = snapshot.record
        let launcher = try ReplicaLauncher(workshop: workshop, snapshot: snapshot, rollout: "access")
        let environment = try await launcher.environment()
        let variables = launcher.recipe(environment).variables(in: sandbox).merging([
            "PORT": "\(sandbox.port)", "BERTH_REVISION": record.nonce, "BERTH_DEPLOYMENT": snapshot.manifest.name,
        ]) { $1 }
        return AccessResource(
            sandbox: sandbox.id, isolation: sandbox.isolation, folder: sandbox.appFolder, environment: variables)
    }
}
