import DeploymentCore
import E2BProtocol
import HTTPTypes
import Hummingbird

/// Volumes, which are not offered: every route says so, and what to do instead.
///
/// Sandboxes have ids of their own, so that files of one cannot belong to another; a folder that several write to would
/// need ids that they share.
public struct VolumeRoutes: E2BRoutes {
    /// The answer to everything.
    static let refusal = ControlFailure(
        501, "volumes are not offered by this server; keep files in a template or a snapshot, and copy what changes",
        kind: "not_implemented", shouldRetry: false)

    /// Creates the routes.
    public init() {}

    /// Contents are: they ask for the volume's token.
    public func isOpen(_ request: Request) -> Bool { request.uri.path.hasPrefix("/volumecontent/") }

    /// Adds the routes.
    public func add(to router: RouterGroup<BasicRequestContext>) {
        router.get("volumes") { _, _ -> Response in throw Self.refusal }
        router.post("volumes") { _, _ -> Response in throw Self.refusal }
        router.get("volumes/:id") { _, _ -> Response in throw Self.refusal }
        router.delete("volumes/:id") { _, _ -> Response in throw Self.refusal }
        // Clients of contents expect a code in words.
        for method: HTTPRequest.Method in [.get, .post, .put, .patch, .delete] {
            router.on("volumecontent/:id/**", method: method) { _, _ in
                ImageWire.answer(
                    ["code": "not_implemented", "message": .string(Self.refusal.message)], status: .notImplemented)
            }
        }
    }
}
