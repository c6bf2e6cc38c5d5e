/// How long a deployment is to live from now on.
public struct ExpiryRequest: Codable, Sendable, Equatable {
    /// In milliseconds; nil goes with `isEndless`.
    public var milliseconds: Int64?
    /// Whether it lives until somebody destroys it.
    public var isEndless: Bool?
    /// Whether that may be less than it had; otherwise, and when nil, the later end of both counts.
    public var isExact: Bool?

    /// Creates a request; without milliseconds it is for a life without end.
    public init(milliseconds: Int64?, isExact: Bool? = nil) {
        self.milliseconds = milliseconds
        self.isExact = isExact
        isEndless = milliseconds == nil ? true : nil
    }
}

/// Something that happened to a deployment outside of its rollouts.
public struct LifecycleResource: Codable, Sendable, Equatable {
    /// Counted up; later events have greater ones.
    public var id: Int64
    /// The deployment.
    public var deployment: String
    /// `paused`, `resumed`, `asleep`, `woken`, `wake_failed`, `extended`, `expired` or `destroyed`.
    public var kind: String
    /// More in a few words; may be empty.
    public var detail: String
    /// When, in milliseconds since 1970.
    public var time: Int64

    /// Creates an event.
    public init(id: Int64, deployment: String, kind: String, detail: String, time: Int64) {
        self.id = id
        self.deployment = deployment
        self.kind = kind
        self.detail = detail
        self.time = time
    }
}
