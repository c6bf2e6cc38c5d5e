/// Every limit and timeout of the gateway of sandboxes.
public struct SandboxGatewayLimits: Sendable {
    /// The longest head of a request or an answer in bytes; beyond it 431 or 502.
    public var head = 32 * 1024
    /// The most fields in a head; beyond it 431 or 502.
    public var fields = 128
    /// The time for a TLS handshake, and then for a whole request head from its first byte; then 408 or the end.
    public var headDeadline = Duration.seconds(10)
    /// How long a connection may wait for its next request; above the 300 s after which the clients' pools close it.
    public var keepAliveIdle = Duration.seconds(330)
    /// The time for the way to a port, a resume included; then 504.
    public var openDeadline = Duration.seconds(60)
    /// The longest silence, both ways, of an exchange; then 504 or a reset. Agents say something every 90 s.
    public var exchangeIdle = Duration.seconds(900)
    /// The longest silence, both ways, of a tunnel; then its end.
    public var tunnelIdle = Duration.seconds(3600)
    /// The longest silence of a tunnel that only one side can still say something in: the other one may be gone.
    public var halfTunnelIdle = Duration.seconds(120)
    /// How long the rest of a request is still read after its answer, so that a reset does not destroy the answer.
    public var lingering = Duration.seconds(2)
    /// The most client connections; beyond it 503.
    public var connections = 2048
    /// The most client connections from one address other than loopback; beyond it 503.
    public var connectionsPerAddress = 64
    /// The most exchanges at a time, those that share a connection counted one by one; beyond it 503.
    public var exchanges = 4096
    /// The most exchanges of one sandbox at a time; beyond it 429.
    public var exchangesPerSandbox = 1024
    /// The most requests at a time on one HTTP/2 connection.
    public var streams = 100
    /// The waits before each try to reach a port that nobody listens on; after the last one 502.
    public var refusedPortWaits: [Duration] = [0, 50, 100, 200, 300].map { .milliseconds($0) }
    /// The most interim answers (1xx) before the final one; beyond it 502.
    public var interimAnswers = 16

    /// The defaults above.
    public init() {}
}
