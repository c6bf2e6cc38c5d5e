import DeploymentCore
import DeploymentStore
import E2BProtocol
import HostedSandboxes
import Sandboxes

/// What snapshots, forks and builds need of those who own sandboxes.
struct HostedImages: ImageSandboxes {
    let host: SandboxHost
    let images: ImageStore
    let builds: BuildSandboxes

    func hold<Result: Sendable>(
        _ sandbox: String, _ body: @escaping @Sendable (HeldSandbox) async throws -> Result
    ) async throws -> Result {
        let (host, images) = (host, images)
        return try await host.hold(sandbox) { inside, record in
            let image = try await images.image(record.template)
            return try await body(
                HeldSandbox(
                    inside, image: image, token: record.isSecure ? host.agentToken(sandbox) : nil,
                    mounts: record.volumeMounts.map(\.path)))
        }
    }

    func copy(of sandbox: String, from image: SandboxImage, timeout: Int64) async throws -> SandboxHandle {
        try await host.copy(of: sandbox, from: image, timeout: timeout)
    }

    func noteSnapshot(of sandbox: String, snapshot: String) async { try? await host.recordCheckpoint(sandbox) }

    func withBuildSandbox<Result: Sendable>(
        _ image: SandboxImage, _ body: @escaping @Sendable (HeldSandbox) async throws -> Result
    ) async throws -> Result {
        try await builds.with(image, body)
    }
}
