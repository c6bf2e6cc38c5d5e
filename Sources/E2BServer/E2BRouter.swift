import DeploymentCore
import E2BProtocol
import HTTPTypes
import HostedSandboxes
import Hummingbird

/// A group of routes of the control plane.
public protocol E2BRoutes: Sendable {
    /// Adds the routes to the router's root, version and all: `v2/sandboxes`.
    func add(to group: RouterGroup<BasicRequestContext>)
    /// Whether a request goes to one of the routes that ask for another proof than the API key.
    func isOpen(_ request: Request) -> Bool
}

extension E2BRoutes {
    /// None does.
    public func isOpen(_ request: Request) -> Bool { false }
}

/// All routes of the control plane, behind the API key.
public enum E2BRouter {
    /// Builds the router.
    ///
    /// Segments of a path are taken as they came: one may hold an encoded slash, which `pathSegment(_:)` decodes.
    public static func make(key: String, _ routes: [any E2BRoutes]) -> Router<BasicRequestContext> {
        let router = Router(context: BasicRequestContext.self)
        router.addMiddleware { FailureMiddleware() }
        router.addMiddleware { KeyMiddleware(key: key) { request in routes.contains { $0.isOpen(request) } } }
        let root = router.group()
        root.get("health") { _, _ in Response(status: .ok) }
        for group in routes { group.add(to: root) }
        return router
    }
}

/// Turns every error into the body that clients know, those of unknown routes too.
struct FailureMiddleware<Context: RequestContext>: RouterMiddleware {
    func handle(
        _ request: Request, context: Context, next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        do {
            return try await next(request, context)
        } catch let error as any HTTPResponseError where !(error is ControlFailure) {
            return try Self.failure(error, request).response(from: request, context: context)
        } catch {
            return try ControlFailure(error).response(from: request, context: context)
        }
    }

    private static func failure(_ error: any HTTPResponseError, _ request: Request) -> ControlFailure {
        switch error.status {
        case .notFound:
            ControlFailure(404, "there is no \(request.method) \(VisibleText.of(request.uri.path))")
        case .contentTooLarge: ControlFailure(413, "the request body is too large")
        default: ControlFailure(error.status.code, "the request cannot be answered")
        }
    }
}

/// Lets only clients with the key in; anybody may ask for the health.
struct KeyMiddleware<Context: RequestContext>: RouterMiddleware {
    private static var scheme: String { "Bearer " }
    let key: String
    let isOpen: @Sendable (Request) -> Bool

    func handle(
        _ request: Request, context: Context, next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        if request.method == .get, request.uri.path == "/health" { return try await next(request, context) }
        if isOpen(request) { return try await next(request, context) }
        let bearer = request.headers[.authorization].flatMap { value in
            value.hasPrefix(Self.scheme) ? String(value.dropFirst(Self.scheme.count)) : nil
        }
        guard let given = HTTPField.Name("X-API-KEY").flatMap({ request.headers[$0] }) ?? bearer else {
            throw ControlFailure(401, "the API key is missing: send it in the header X-API-Key")
        }
        guard ConstantTime.equals(given, key) else { throw ControlFailure(401, "the API key is wrong") }
        return try await next(request, context)
    }
}
