import DeploymentCore

/// The body of every error of the control plane (protocol note 1.3).
public struct ControlFailure: WireMessage, Error, Equatable {
    /// The HTTP status.
    public var code: Int
    /// What is wrong.
    public var message: String
    /// The kind of failure, as `sandbox_capacity_unavailable`; most have none.
    public var kind: String?
    /// The seconds until it may be tried again; told in `Retry-After`, not in the body.
    public var retryAfter: Int?
    /// What `Should-Retry` says; nil leaves it to the client.
    public var shouldRetry: Bool?
    /// What is left of a rate that was exceeded; told in `RateLimit-*`.
    public var rate: Rate?

    /// A rate of requests.
    public struct Rate: Sendable, Equatable {
        /// How many there may be.
        public var limit: Int
        /// How many are left.
        public var remaining: Int
        /// The seconds until there are more.
        public var reset: Int

        /// Creates a rate.
        public init(limit: Int, remaining: Int, reset: Int) {
            self.limit = limit
            self.remaining = remaining
            self.reset = reset
        }
    }

    /// Creates a failure.
    public init(
        _ code: Int, _ message: String, kind: String? = nil, retryAfter: Int? = nil, shouldRetry: Bool? = nil,
        rate: Rate? = nil
    ) {
        self.code = code
        self.message = message
        self.kind = kind
        self.retryAfter = retryAfter
        self.shouldRetry = shouldRetry
        self.rate = rate
    }

    /// Reads the message.
    public init(json: JSONValue) throws(ConnectError) {
        let reader = try MessageReader(json, "error")
        code = Int(try reader.optionalInteger("code", in: 0...999) ?? 0)
        message = try reader.string("message")
        kind = try reader.optionalString("errorCode")
    }

    /// The message as JSON.
    public var json: JSONValue {
        var members: [String: JSONValue] = ["code": .integer(Int64(code)), "message": .string(message)]
        if let kind { members["error_code"] = .string(kind) }
        return .object(members)
    }

    /// That a sandbox does not exist, in the words that clients know.
    public static func noSandbox(_ id: String) -> ControlFailure {
        ControlFailure(404, "sandbox \"\(id)\" doesn't exist or you don't have access to it")
    }
}
