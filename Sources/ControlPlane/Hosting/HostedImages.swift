import DeploymentCore
import E2BProtocol
import E2BServer
import HostedSandboxes
import Hummingbird
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

    /// Serves templates to the users of this machine, by the routes that clients have.
    func add(to group: RouterGroup<BasicRequestContext>, prefix: String) {
        TemplateRoutes(templates, prefix: prefix).add(to: group)
    }
}

/// Tells errors of clients' routes as the API tells its own.
struct ControlFailureMiddleware<Context: RequestContext>: RouterMiddleware {
    func handle(
        _ request: Request, context: Context, next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        do {
            return try await next(request, context)
        } catch let failure as ControlFailure {
            let code: BerthError.Code =
                switch failure.code {
                case 404: .notFound
                case 409: .conflict
                case 413: .tooLarge
                case 429: .quota
                case 400..<500: .usage
                default: .sandbox
                }
            throw BerthError(code, failure.message)
        }
    }
}
