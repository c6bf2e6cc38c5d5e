/// Every limit and timeout of the way out.
public struct EgressLimits: Sendable {
    /// The longest request head in bytes; beyond it 431.
    public var head = 16 * 1024
    /// The most fields in a head; beyond it 431.
    public var fields = 100
    /// The time for a whole request head, from the connection on; then 408.
    public var headDeadline = Duration.seconds(10)
    /// The most connections of one sandbox; beyond it 503.
    public var connections = 128
    /// The most connections of all sandboxes; beyond it 503.
    public var connectionsInAll = 1024
    /// The time to look a name up; then 504.
    public var lookupDeadline = Duration.seconds(5)
    /// The time for a connection to one address.
    public var attemptDeadline = Duration.seconds(4)
    /// The time for a connection to any address of a host; then 504.
    public var connectDeadline = Duration.seconds(10)
    /// The most addresses of one name that are looked at.
    public var addresses = 16
    /// The longest time in which nothing moves; then both sides are closed.
    public var idle = Duration.seconds(300)
    /// How long a refused connection is still read, so that a reset does not destroy the answer.
    public var lingering = Duration.seconds(2)
    /// Bytes waiting for a side that does not take them, beyond which the other side is not read.
    public var buffer = 64 * 1024
    /// Bytes waiting in all connections of one sandbox; the one that brings more is closed.
    public var held = 32 << 20
    /// Bytes of one read.
    public var read = 16 * 1024
    /// The most hosts of one sandbox whose refusal is told.
    public var toldHosts = 100

    /// The defaults above.
    public init() {}
}
