import DeploymentCore
import DeploymentStore
import E2BProtocol
import Sandboxes

/// The sandboxes of clients as images see them, and others in which templates are built.
public struct HostedImageSandboxes: ImageSandboxes {
    private let host: SandboxHost
    private let images: ImageStore
    private let builds: BuildSandboxes

    /// Takes sandboxes of the host, and makes those for builds itself.
    public init(host: SandboxHost, images: ImageStore, builds: BuildSandboxes) {
        self.host = host
        self.images = images
        self.builds = builds
    }

    /// Keeps clients away from a running sandbox while `body` runs.
    public func hold<Result: Sendable>(
        _ sandbox: String, _ body: @escaping @Sendable (HeldSandbox) async throws -> Result
    ) async throws -> Result {
        let (host, images) = (host, images)
        return try await host.hold(sandbox) { inside, record in
            try await body(
                try await images.held(inside, of: record, token: record.isSecure ? host.agentToken(sandbox) : nil))
        }
    }

    /// Makes a sandbox like another one from an image.
    public func copy(of sandbox: String, from image: SandboxImage, timeout: Int64) async throws -> SandboxHandle {
        try await host.copy(of: sandbox, from: image, timeout: timeout)
    }

    /// Writes the event; where it cannot be written, the snapshot is one all the same.
    public func noteSnapshot(of sandbox: String, snapshot: String) async {
        try? await host.recordCheckpoint(sandbox)
    }

    /// Makes a sandbox of nobody for a build.
    public func withBuildSandbox<Result: Sendable>(
        _ image: SandboxImage, _ body: @escaping @Sendable (HeldSandbox) async throws -> Result
    ) async throws -> Result {
        try await builds.with(image, body)
    }
}
