import CurlClient
import DeploymentCore
import E2BProtocol

/// A client of envd, the agent inside a sandbox: ours over a unix socket, E2B's over the network.
public struct EnvdClient: Sendable {
    /// The budget of a unary call.
    public static let callTimeout = Duration.seconds(30)
    /// The budget until a stream's first event.
    public static let firstEventTimeout = Duration.seconds(30)
    /// The budget of a write to a process that may not read for a while.
    public static let inputTimeout = Duration.seconds(3600)
    /// The longest body of a unary reply, in bytes.
    public static let replyLimit = 4 << 20

    let client: CurlClient
    let baseURL: String
    let transport: Transport
    let headers: [(name: String, value: String)]
    let certificates: String?
    let silence: Duration?

    /// Creates a client; connections are made when they are needed.
    ///
    /// - Parameters:
    ///   - client: The HTTP client, which has to outlive this value's calls.
    ///   - baseURL: Scheme and host without a trailing slash, as `http://localhost`.
    ///   - transport: The way there; not `.connected`, since there are many connections.
    ///   - headers: Sent with every request: access tokens, routing.
    ///   - certificates: A file of certificate authorities to trust instead of the system's.
    ///   - silence: How long a process may say nothing, and its agent not that it is alive, before the stream counts as
    ///     broken; nil is for ever.
    public init(
        client: CurlClient, baseURL: String, transport: Transport, headers: [(name: String, value: String)] = [],
        certificates: String? = nil, silence: Duration? = nil
    ) {
        self.client = client
        self.baseURL = baseURL
        self.transport = transport
        self.headers = headers
        self.certificates = certificates
        self.silence = silence
    }

    /// Asks whether the agent answers, and waits for it while the sandbox starts.
    ///
    /// - Throws: `unreachable`, `timeout`, or `sandbox` when something else answers.
    public func checkHealth(timeout: Duration) async throws {
        let reply = try await client.send(request("GET", "/health", timeout: timeout, connectTimeout: timeout))
        guard reply.status / 100 == 2 else {
            throw BerthError(.sandbox, "the sandbox's agent answers /health with status \(reply.status)")
        }
    }

    /// Who listens on TCP inside; only our own agent knows.
    public func listeners() async throws -> [Listener] {
        let reply = try await client.send(request("GET", "/berth/listeners"), limit: Self.replyLimit)
        guard reply.status == 200 else { throw Self.error(ConnectError(httpStatus: reply.status, body: reply.body)) }
        let json = try Self.parse(reply.body)
        return try (json["listeners"] ?? json).array.map { try $0.map(Self.listener) }
            ?? { throw BerthError(.sandbox, "the sandbox's agent answers /berth/listeners without a list") }()
    }

    private static func listener(_ json: JSONValue) throws -> Listener {
        guard let address = json["address"]?.string, let port = json["port"]?.integer.flatMap({ Int(exactly: $0) })
        else { throw BerthError(.sandbox, "the sandbox's agent describes a listener without address and port") }
        return Listener(
            address: address, port: port, pid: json["pid"]?.integer.flatMap { Int(exactly: $0) },
            tag: json["tag"]?.string)
    }
}

extension EnvdClient {
    /// Calls a unary procedure.
    func call<Reply: WireMessage>(
        _ method: RemoteMethod, _ message: some WireMessage, timeout: Duration = callTimeout
    ) async throws -> Reply {
        var request = request("POST", method.rawValue, timeout: timeout)
        request.headers += [("Content-Type", "application/json"), ("Connect-Protocol-Version", "1")]
        request.body = .bytes(message.json.encoded())
        let reply = try await client.send(request, limit: Self.replyLimit)
        guard reply.status == 200 else { throw Self.error(ConnectError(httpStatus: reply.status, body: reply.body)) }
        do {
            return try Reply(json: try Self.parse(reply.body))
        } catch let error as ConnectError {
            throw Self.error(error)
        }
    }

    func request(
        _ method: String, _ path: String, timeout: Duration? = callTimeout, connectTimeout: Duration = .seconds(5)
    ) -> HTTPRequest {
        var request = HTTPRequest(
            method: method, url: baseURL + path, headers: headers, timeout: timeout, connectTimeout: connectTimeout,
            transport: transport)
        request.certificates = certificates
        return request
    }

    static func parse(_ body: [UInt8]) throws -> JSONValue {
        do {
            return try JSONValue(parsing: body)
        } catch {
            throw BerthError(.sandbox, "the sandbox's agent answers with something that is not JSON", cause: error)
        }
    }

    /// Translates envd's error into ours.
    static func error(_ error: ConnectError) -> BerthError {
        let code: BerthError.Code =
            switch error.code {
            case .notFound: .notFound
            case .unavailable: .unreachable
            case .deadlineExceeded, .canceled: .timeout
            case .resourceExhausted: .quota
            case .unauthenticated, .permissionDenied: .unauthorized
            default: .sandbox
            }
        return BerthError(code, "the sandbox's agent refuses", cause: error)
    }
}
