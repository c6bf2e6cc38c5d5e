import DeploymentCore
import Sandboxes

enum SandboxSpecificationFixture {
    static let orphan = SandboxSpecification(
        id: "orphan", labels: SandboxLabels(deployment: "sum", nonce: "sum.0.x", rollout: "rol_gone"))
}
