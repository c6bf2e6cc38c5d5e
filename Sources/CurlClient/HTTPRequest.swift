/// One HTTP request.
public struct HTTPRequest: Sendable {
    /// The method, in capitals.
    public var method: String
    /// An `http://` or `https://` URL; nothing else is spoken.
    public var url: String
    /// Headers in their order. `Content-Length`, `Transfer-Encoding` and `Expect` are the client's own and left out.
    public var headers: [(name: String, value: String)]
    /// What is sent.
    public var body: Body
    /// The budget of the whole transfer, redirects included; nil is none.
    public var timeout: Duration?
    /// The budget of one connection attempt, name lookup and TLS included.
    public var connectTimeout: Duration
    /// The way to the server.
    public var transport: Transport
    /// How many redirects of a GET or HEAD are followed; each must lead to https (plain http under `.loopback` only).
    ///
    /// On the way to another origin only harmless headers are kept, so that no credential leaks.
    public var redirects = 0
    /// How long nothing at all may come before the transfer counts as broken, in whole seconds; nil is for ever. Waiting
    /// for a reader does not count.
    public var silence: Duration?
    /// A file of certificate authorities (PEM) that are trusted instead of the system's; nil trusts those.
    public var certificates: String?

    /// Creates a request.
    public init(
        method: String = "GET", url: String, headers: [(name: String, value: String)] = [], body: Body = .none,
        timeout: Duration? = .seconds(30), connectTimeout: Duration = .seconds(5),
        transport: Transport = .network(.publicOnly)
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.timeout = timeout
        self.connectTimeout = connectTimeout
        self.transport = transport
    }

    /// The body of a request.
    public enum Body: Sendable {
        case none
        case bytes([UInt8])
        /// The first `length` bytes of a file, streamed; a file that is shorter fails the request.
        case file(path: String, length: Int64)
        /// What the closure writes, sent in chunks while it runs; when it throws, the request fails.
        case stream(@Sendable (HTTPBodyWriter) async throws -> Void)
    }
}

/// The way to a server.
public enum Transport: Sendable {
    /// Name lookup and TCP, to addresses that the policy allows.
    case network(AddressPolicy)
    /// A unix socket by its path of at most 107 bytes; `/proc/self/fd/N/name` reaches longer ones.
    case unixSocket(String)
    /// An already connected stream socket that the transfer takes over and closes, also when it never starts; for
    /// `http://` URLs, whose host only names the `Host` field.
    case connected(Int32)
}
