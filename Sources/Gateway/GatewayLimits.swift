/// Every limit and timeout of the gateway that is not a deployment's own.
public struct GatewayLimits: Sendable {
    /// The longest head of a request or an answer in bytes; beyond it 431 or 502.
    public var head = 32 * 1024
    /// The most fields in a head; beyond it 431 or 502.
    public var fields = 100
    /// The time for a whole request head, from its first byte; then 408.
    public var headDeadline = Duration.seconds(10)
    /// The longest silence inside a request body, and of a client that does not read its answer; then 408 or the cut.
    public var bodyIdle = Duration.seconds(30)
    /// The least average bytes per second of a request body, looked at after `bodyIdle`; below it 408.
    public var bodyMinimumRate = 1024
    /// How long a client connection may wait for its next request.
    public var keepAliveIdle = Duration.seconds(60)
    /// How long an app connection is kept unused; below the 75 s after which our apps close it themselves.
    public var upstreamIdle = Duration.seconds(60)
    /// The most unused app connections per event loop and upstream.
    public var upstreamIdleConnections = 64
    /// The time for a connection to the app; then 504.
    public var connectDeadline = Duration.seconds(5)
    /// The most client connections; beyond it 503.
    public var connections = 2048
    /// The most client connections from one address other than loopback; beyond it 503.
    public var connectionsPerAddress = 64
    /// How long a connection is still read after its last answer, so that a reset does not destroy the answer.
    public var lingering = Duration.seconds(2)
    /// A request that fits into this many bytes, head and body, can be sent a second time.
    public var replay = 64 * 1024
    /// The most interim answers (1xx) before the final one; beyond it 502.
    public var interimAnswers = 16

    /// How often timeouts are looked at; each fires up to two ticks late, never early.
    var tick = Duration.milliseconds(500)

    /// The defaults above.
    public init() {}
}

extension Duration {
    /// Whole nanoseconds, at least 0 and saturating.
    var nanoseconds: UInt64 {
        let (seconds, attoseconds) = components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        let (product, overflow) = UInt64(seconds).multipliedReportingOverflow(by: 1_000_000_000)
        guard !overflow else { return .max }
        let (sum, carried) = product.addingReportingOverflow(UInt64(attoseconds / 1_000_000_000))
        return carried ? .max : sum
    }
}
