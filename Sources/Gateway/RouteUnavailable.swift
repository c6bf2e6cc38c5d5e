/// Why an upstream gives no connection now: the 503 that its client gets.
public struct RouteUnavailable: Error, Sendable, Equatable {
    /// The last part of the problem's type: `wake-failed`.
    public var kind: String
    /// What is wrong, in a sentence for the client.
    public var detail: String
    /// How long the client should wait before it tries again, in seconds; at least 1.
    public var retryAfter: Int

    /// Creates a reason.
    public init(kind: String, detail: String, retryAfter: Int = 1) {
        self.kind = kind
        self.detail = detail
        self.retryAfter = max(1, retryAfter)
    }
}
