import DeploymentCore

/// What the gateway of sandboxes asks of those who own them.
public protocol SandboxDoors: Sendable {
    /// The way to a sandbox's ports, for a request that has just come; a paused one that traffic may resume is resumed
    /// first.
    ///
    /// Never trusts its caller with the id: it came from a stranger.
    func door(of sandbox: String) async throws(DoorRefusal) -> SandboxDoor

    /// The sandbox whose agent signed a request for a file that names no sandbox; nil when none did.
    ///
    /// - Parameter signature: the query's `signature`, `path`, `username` and `signature_expiration` as they came, decoded.
    func sandbox(signing request: SignedFileRequest) async -> String?
}

/// The way to the ports of one running sandbox.
public struct SandboxDoor: Sendable {
    /// What requests have to show in `E2b-Traffic-Access-Token`, on every port but the agent's; nil asks for nothing.
    public var trafficToken: String?
    /// The `Host` that its ports see instead of the client's, not the agent's; `${PORT}` stands for the port.
    public var maskedHost: String?
    /// Ends when the sandbox is killed or paused: open connections are reset then.
    public var closed: @Sendable () async -> Void
    /// Gives a connected stream socket to a port, which the caller owns from then on; the agent's is
    /// `HostName.agentPort`. Throws `PortRefused` when nobody listens.
    public var connect: @Sendable (_ port: Int) async throws -> Int32

    /// Creates a way.
    public init(
        trafficToken: String?, maskedHost: String?, closed: @escaping @Sendable () async -> Void,
        connect: @escaping @Sendable (_ port: Int) async throws -> Int32
    ) {
        self.trafficToken = trafficToken
        self.maskedHost = maskedHost
        self.closed = closed
        self.connect = connect
    }
}

/// Why there is no way to a sandbox (protocol note 2.4).
public enum DoorRefusal: Error, Equatable {
    /// It does not exist, was killed, or is paused and not to be resumed by traffic: 502.
    case notFound
    /// It is being paused or resumed: 409.
    case transitioning
    /// Traffic may not resume it: 403.
    case notPermitted
    /// Resuming it would be one too many, as the text says: 429.
    case limited(String)
    /// It could not be resumed, as the text says: 503.
    case failed(String)
}

/// A request for a file that carries a signature instead of the name of a sandbox (protocol note 3.6).
public struct SignedFileRequest: Sendable, Equatable {
    /// Whether it reads; otherwise it writes.
    public var isRead: Bool
    /// The `path` of the query; empty when there is none.
    public var path: String
    /// The `username` of the query; empty when there is none.
    public var user: String
    /// The `signature` of the query.
    public var signature: String
    /// The `signature_expiration` of the query, in seconds of Unix time.
    public var expiration: String?

    /// Creates a request.
    public init(isRead: Bool, path: String, user: String, signature: String, expiration: String?) {
        self.isRead = isRead
        self.path = path
        self.user = user
        self.signature = signature
        self.expiration = expiration
    }
}
