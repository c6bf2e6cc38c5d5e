import ControlAPI
import CurlClient
import DeploymentCore
import E2BProtocol
import HTTPTypes
import Hummingbird
import NIOCore
import Orchestration
import Sandboxes
import ServiceLifecycle

/// The agent of a deployment's sandbox beneath the API: requests pass through as they are, streams in both directions.
///
/// Who has the token can do anything in the sandboxes anyway; what cannot be reached this way are the agent's other
/// paths and the ports inside.
struct AgentRoutes: Sendable {
    /// The longest message of a call, in bytes; files and streams of input have no limit.
    static let maximumMessage = 8 << 20
    /// What of a request the agent gets to see; the token of the API is none of its business.
    static let requestFields: Set<String> = [
        "accept", "accept-encoding", "berth-replay", "connect-accept-encoding", "connect-content-encoding",
        "connect-protocol-version", "connect-timeout-ms", "content-encoding", "content-type", "if-none-match",
        "if-range", "keepalive-ping-interval", "range", "x-berth-mode",
    ]
    /// What of an answer the client gets to see.
    static let responseFields: Set<String> = [
        "accept-ranges", "connect-content-encoding", "content-disposition", "content-encoding", "content-range",
        "content-type", "etag", "last-modified", "vary",
    ]
    /// Names the user inside that a request acts as.
    static let userField = "berth-user"

    let pauses: Pauses

    func add(to group: RouterGroup<BasicRequestContext>) {
        for method in [HTTPTypes.HTTPRequest.Method.get, .post] {
            group.on("deployments/:name/agent/**", method: method) { request, context in
                let name = try context.parameters.require("name")
                let path = "/" + context.parameters.getCatchAll().joined(separator: "/")
                guard Self.isOpen(path, method) else {
                    throw BerthError(.notFound, "the agent has nothing for \(method.rawValue) \(path) here")
                }
                let (_, sandbox, visit) = try await pauses.enter(name)
                guard let agent = sandbox.agent else {
                    throw BerthError(.sandbox, "the sandbox of \(name) has no agent that can be reached")
                }
                return try await forward(request, path, agent, visit)
            }
        }
    }

    private static func isOpen(_ path: String, _ method: HTTPTypes.HTTPRequest.Method) -> Bool {
        path == "/files" || (method == .post && RemoteMethod(rawValue: path) != nil)
            || (method == .get && path == "/health")
    }

    private func forward(
        _ request: Request, _ path: String, _ agent: EnvdClient, _ visit: Pauses.Visit
    ) async throws -> Response {
        let query = request.uri.query.map { "?\($0)" } ?? ""
        var headers = request.headers.compactMap { field -> (name: String, value: String)? in
            Self.requestFields.contains(field.name.canonicalName) ? (field.name.rawName, field.value) : nil
        }
        if let name = HTTPField.Name(Self.userField), let user = request.headers[name] {
            let pair = String(decoding: Base64.encode(Array("\(user):".utf8)), as: UTF8.self)
            headers.append((name: "Authorization", value: "Basic \(pair)"))
        }
        var forwarded = EnvdClient.Forwarded(method: request.method.rawValue, target: path + query, headers: headers)
        let isUpload = request.method == .post && (path == "/files" || path == RemoteMethod.processStreamInput.rawValue)
        guard isUpload else { return try await stream(request, &forwarded, agent, visit) }
        defer { withExtendedLifetime(visit) {} }
        return try await upload(request, &forwarded, agent)
    }

    /// A body of any length up, and a short answer.
    private func upload(
        _ request: Request, _ forwarded: inout EnvdClient.Forwarded, _ agent: EnvdClient
    ) async throws -> Response {
        let body = request.body
        forwarded.body = .stream { writer in
            for try await part in body { try await writer.write(part.readableBytesView) }
        }
        let message = forwarded
        let reply = try await cancelWhenGracefulShutdown { try await agent.send(message) }
        return Response(
            status: HTTPTypes.HTTPResponse.Status(code: reply.status), headers: Self.fields(reply.headers),
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: reply.body)))
    }

    /// A message up, and an answer that may last as long as a process, cancelled when the client leaves.
    private func stream(
        _ request: Request, _ forwarded: inout EnvdClient.Forwarded, _ agent: EnvdClient, _ visit: Pauses.Visit
    ) async throws -> Response {
        var request = request
        let message = try await request.collectBody(upTo: Self.maximumMessage)
        if request.method == .post { forwarded.body = .bytes(Array(message.readableBytesView)) }
        let call = forwarded
        let open = try await cancelWhenGracefulShutdown { try await agent.open(call) }
        var fields = Self.fields(open.response.headers)
        // Watching for the client's end takes the connection's other requests away.
        fields[.connection] = "close"
        let body = request.body
        return Response(
            status: HTTPTypes.HTTPResponse.Status(code: open.response.status), headers: fields,
            body: ResponseBody(contentLength: open.response.headers["Content-Length"].flatMap { Int($0) }) { writer in
                try await withGracefulShutdownHandler {
                    try await body.consumeWithCancellationOnInboundClose { _ in
                        for try await chunk in open.response.body { try await writer.write(ByteBuffer(bytes: chunk)) }
                    }
                } onGracefulShutdown: {
                    open.cancel()
                }
                withExtendedLifetime(visit) {}
                try await writer.finish(nil)
            })
    }

    private static func fields(_ headers: HTTPHeaders) -> HTTPFields {
        var fields = HTTPFields()
        for (name, value) in headers.all where responseFields.contains(name.lowercased()) {
            if let name = HTTPField.Name(name) { fields.append(HTTPField(name: name, value: value)) }
        }
        return fields
    }
}
