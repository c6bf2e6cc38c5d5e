import CurlClient
import DeploymentCore
import Glibc
import NIOCore
import NIOHTTP1
import NIOPosix
import Waiting

/// An HTTP/1.1 server on one connected socket that passes every request on to a port of a remote sandbox.
///
/// Whoever has the other end of the socket speaks HTTP as if it were connected to the port. What cannot be passed on ends
/// the connection, as an app that went away would.
struct PortRelay: Sendable {
    /// Where requests go.
    struct Target: Sendable {
        /// Scheme and host.
        var base: String
        var transport: Transport
        /// What gets them there.
        var headers: [(name: String, value: String)]
        var certificates: String?
    }

    /// The longest body that is held, in bytes, so that a kept connection can be used; a longer one is streamed over a
    /// connection of its own.
    static let heldBody = 1 << 20
    /// The budget of one connection attempt.
    static let connectTimeout = Duration.seconds(10)

    let target: Target
    let curl: CurlClient
    /// Told that a request was not passed on; nil for a failure of the network.
    let failed: @Sendable (ProxyRefusal?) -> Void

    /// Serves until either side ends the connection, or the task is cancelled. Takes the socket over.
    func run(on socket: Int32) async {
        let exchanges = OwnedTasks()
        let bootstrap = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.autoRead, value: false)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    var framing = HTTPResponseEncoder.Configuration()
                    framing.automaticallySetFramingHeaders = false
                    try channel.pipeline.syncOperations.addHandlers([
                        HTTPResponseEncoder(configuration: framing),
                        ByteToMessageHandler(HTTPRequestDecoder(leftOverBytesStrategy: .dropBytes)),
                        RelayHandler { head, body, connection in
                            exchanges.start { await pass(head, body, connection) }
                        },
                    ])
                }
            }
        guard let channel = try? await bootstrap.withConnectedSocket(socket).get() else { return }
        await withTaskCancellationHandler {
            try? await channel.closeFuture.get()
        } onCancel: {
            channel.close(mode: .all, promise: nil)
        }
        await exchanges.close()
    }

    /// One request and its answer.
    private func pass(_ head: HTTPRequestHead, _ body: RelayBody, _ connection: RelayConnection) async {
        do {
            guard head.uri.hasPrefix("/") else { throw BerthError(.usage, "the request has no path") }
            let request = try await request(head, body)
            try await curl.withResponse(request) { response in
                let (refusal, read) = try await ProxyRefusal.read(response)
                if let refusal { throw Refused(refusal: refusal) }
                try await answer(response, read, to: head, connection)
            }
            connection.finish(keepingAlive: head.isKeepAlive && body.isWhole)
        } catch let error as Refused {
            failed(error.refusal)
            connection.close()
        } catch {
            if (error as? BerthError)?.code == .unreachable, !body.isBroken { failed(nil) }
            connection.close()
        }
    }

    private struct Refused: Error { let refusal: ProxyRefusal }

    private func request(_ head: HTTPRequestHead, _ body: RelayBody) async throws -> HTTPRequest {
        let own = Set(target.headers.map { $0.name.lowercased() })
        let dropped = RelayFields.dropped(head.headers["connection"]).union(own).union(["host"])
        let headers = head.headers.filter { !dropped.contains($0.name.lowercased()) }.map {
            (name: $0.name, value: $0.value)
        }
        var request = HTTPRequest(
            method: head.method.rawValue, url: target.base + head.uri, headers: headers + target.headers,
            body: try await content(head, body), timeout: nil, connectTimeout: Self.connectTimeout,
            transport: target.transport)
        request.certificates = target.certificates
        return request
    }

    private func content(_ head: HTTPRequestHead, _ body: RelayBody) async throws -> HTTPRequest.Body {
        let length = head.headers.first(name: "content-length").flatMap { Int($0) }
        if length == nil, !head.headers.contains(name: "transfer-encoding") { return .none }
        guard let length, length <= Self.heldBody else {
            return .stream { writer in while let bytes = try await body.next() { try await writer.write(bytes) } }
        }
        var bytes: [UInt8] = []
        while let part = try await body.next() { bytes += part }
        return .bytes(bytes)
    }

    private func answer(
        _ response: HTTPResponse, _ read: [UInt8]?, to head: HTTPRequestHead, _ connection: RelayConnection
    ) async throws {
        let dropped = RelayFields.dropped(
            response.headers.all.filter { $0.name.lowercased() == "connection" }.map(\.value))
        var fields = NIOHTTP1.HTTPHeaders(
            response.headers.all.filter { !dropped.contains($0.name.lowercased()) }.map { ($0.name, $0.value) })
        let hasBody = head.method != .HEAD && response.status != 204 && response.status != 304
        if let length = response.headers["Content-Length"] {
            fields.replaceOrAdd(name: "content-length", value: length)
        } else if hasBody {
            fields.replaceOrAdd(name: "transfer-encoding", value: "chunked")
        }
        let status = HTTPResponseStatus(statusCode: response.status)
        try await connection.write(.head(HTTPResponseHead(version: .http1_1, status: status, headers: fields)))
        if let read {
            if hasBody { try await connection.write(.body(.byteBuffer(ByteBuffer(bytes: read)))) }
        } else {
            for try await part in response.body where hasBody {
                try await connection.write(.body(.byteBuffer(ByteBuffer(bytes: part))))
            }
        }
        try await connection.write(.end(nil))
    }
}

/// Fields that belong to one connection and not to the message (RFC 9110, 7.6.1), and those that frame it.
enum RelayFields {
    private static let always: Set<String> = [
        "connection", "content-length", "expect", "keep-alive", "proxy-authenticate", "proxy-authorization",
        "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
    ]

    /// - Parameter connection: the values of `Connection`, which names more of them.
    static func dropped(_ connection: [String]) -> Set<String> {
        let named = connection.flatMap { $0.split(separator: ",") }.map { name in
            name.lowercased().filter { $0 != " " && $0 != "\t" }
        }
        return always.union(named)
    }
}
