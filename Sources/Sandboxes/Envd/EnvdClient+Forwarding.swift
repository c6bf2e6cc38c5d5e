import CurlClient
import DeploymentCore

extension EnvdClient {
    /// A request that somebody else made for this agent, on its way there.
    public struct Forwarded: Sendable {
        /// The method, in capitals.
        public var method: String
        /// The path and the query, as `/files?path=/tmp/x`.
        public var target: String
        /// What is sent beside the agent's own headers.
        public var headers: [(name: String, value: String)]
        /// What is sent.
        public var body: HTTPRequest.Body

        /// Creates a request.
        public init(
            method: String, target: String, headers: [(name: String, value: String)], body: HTTPRequest.Body = .none
        ) {
            self.method = method
            self.target = target
            self.headers = headers
            self.body = body
        }
    }

    /// The same way with more headers: an access token, a user.
    public func with(_ headers: [(name: String, value: String)]) -> EnvdClient {
        EnvdClient(client: client, baseURL: baseURL, transport: transport, headers: self.headers + headers)
    }

    /// Sends a request and hands out the answer as it comes, whatever its status.
    public func open(_ forwarded: Forwarded) async throws -> OpenResponse { try await client.open(request(forwarded)) }

    /// Sends a request and reads the whole answer, of at most `replyLimit` bytes.
    public func send(_ forwarded: Forwarded) async throws -> HTTPReply {
        try await client.send(request(forwarded), limit: Self.replyLimit)
    }

    private func request(_ forwarded: Forwarded) -> HTTPRequest {
        var request = request(forwarded.method, forwarded.target, timeout: nil)
        request.headers += forwarded.headers
        request.body = forwarded.body
        return request
    }
}

extension Sandbox {
    /// Not, unless it says so.
    public var ownsIdentities: Bool { false }

    /// None: what is no sandbox with an agent of envd's kind cannot be reached this way.
    public var agent: EnvdClient? { nil }
}
