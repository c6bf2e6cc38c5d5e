import DeploymentCore
import E2BServer
import HostedSandboxes
import Sandboxes

/// The images of clients: what is built, kept and served of them.
struct HostedImages: Sendable {
    let templates: Templates
    let snapshots: Snapshots

    /// Makes good what an earlier control plane left half-done.
    static func open(
        _ host: SandboxHost, _ images: ImageStore, _ provider: any SandboxProvider, _ configuration: Configuration
    ) async throws -> HostedImages {
        try images.recover()
        let files = ArchiveFolder(folder: configuration.path("images/uploads"))
        files.sweep()
        // Commands of a build fetch what they need, where sandboxes can be given a way out at all.
        let network: NetworkAccess? = try await provider.capabilities().network == .closed ? nil : .egress
        let builds = BuildSandboxes(provider: provider, network: network)
        try await builds.sweep()
        let sandboxes = HostedImageSandboxes(host: host, images: images, builds: builds)
        return HostedImages(
            templates: Templates(images: images, files: files, sandboxes: sandboxes),
            snapshots: Snapshots(images: images, sandboxes: sandboxes))
    }

    /// What is served of them.
    var routes: [any E2BRoutes] { [SnapshotRoutes(snapshots), TemplateRoutes(templates)] }
}
