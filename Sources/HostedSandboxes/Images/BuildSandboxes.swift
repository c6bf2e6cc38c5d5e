import DeploymentCore
import Foundation
import Sandboxes
import Waiting

/// Sandboxes of nobody, in which templates are built.
public struct BuildSandboxes: Sendable {
    /// What such sandboxes carry as their rollout.
    public static let label = "image-build"

    let provider: any SandboxProvider
    let network: NetworkAccess?

    /// Makes them with a provider; `network` is what their commands may reach.
    public init(provider: any SandboxProvider, network: NetworkAccess?) {
        self.provider = provider
        self.network = network
    }

    /// Makes a sandbox with the image's files, and removes it whatever becomes of `body`.
    public func with<Result: Sendable>(
        _ image: SandboxImage, _ body: @escaping @Sendable (HeldSandbox) async throws -> Result
    ) async throws -> Result {
        let id = "b\(Identifiers.random())"
        let specification = SandboxSpecification(
            id: id, labels: SandboxLabels(deployment: "", nonce: "", rollout: Self.label), mounts: image.mounts,
            network: network)
        let sandbox = try await provider.create(specification)
        do {
            let held = try HeldSandbox(sandbox, image: image)
            if let archive = image.archive { try await SandboxFiles(of: held).unpack(archive) }
            let result = try await body(held)
            try await uncancelled { try await provider.destroy(id) }
            return result
        } catch {
            // The first error is the one to tell; what cannot be removed now is swept at the next start.
            try? await uncancelled { try await provider.destroy(id) }
            throw error
        }
    }

    /// Removes what an earlier control plane left.
    public func sweep() async throws {
        for record in try await provider.list() where record.labels.rollout == Self.label {
            try await provider.destroy(record.id)
        }
    }
}
