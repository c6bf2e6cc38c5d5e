import DeploymentCore
import E2BProtocol
import HTTPTypes
import HostedSandboxes
import Hummingbird

/// Snapshots and forks of sandboxes (protocol note 1.4, 1.8).
public struct SnapshotRoutes: E2BRoutes {
    private let snapshots: Snapshots

    /// Serves from the service.
    public init(_ snapshots: Snapshots) { self.snapshots = snapshots }

    /// Adds the routes, all of which need the API key.
    public func add(to router: RouterGroup<BasicRequestContext>) {
        router.post("sandboxes/:sandboxID/snapshots") { request, context in
            let wanted = try await ImageWire.decode(SnapshotRequest.self, request)
            let taken = try await snapshots.take(try context.sandboxID(), wanted)
            return ImageWire.answer(taken.json, status: .created)
        }
        router.post("sandboxes/:sandboxID/fork") { request, context in
            let wanted = try await ImageWire.decode(ForkRequest.self, request)
            let results = try await snapshots.fork(try context.sandboxID(), wanted)
            return ImageWire.answer(.array(results.map(\.json)), status: .created)
        }
        router.get("snapshots") { request, _ in
            let (page, next) = try snapshots.list(
                sandbox: ImageWire.text("sandboxID", request), name: ImageWire.text("name", request),
                limit: try ImageWire.number("limit", request, default: ImageStore.maximumPage),
                after: ImageWire.text("nextToken", request))
            var headers: HTTPFields = [:]
            if let next, let name = HTTPField.Name("X-Next-Token") { headers[name] = next }
            return ImageWire.answer(.array(page.map(\.json)), headers: headers)
        }
    }
}
