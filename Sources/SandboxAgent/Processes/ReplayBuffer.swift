import E2BProtocol

/// The latest output: of pipes what nobody has received, of a terminal all.
struct ReplayBuffer {
    /// Bytes of output kept of pipes.
    static let pipeLimit = 256 << 10
    /// Bytes of output kept of a terminal.
    static let terminalLimit = 64 << 10
    /// Events kept, however small.
    private static let eventLimit = 8192
    private let limit: Int
    private var events: [ProcessEvent] = []
    private var sizes: [Int] = []
    private var first = 0
    private var count = 0

    init(limit: Int) { self.limit = limit }

    /// Keeps an event with `size` bytes of output; the oldest give way.
    mutating func append(_ event: ProcessEvent, size: Int) {
        events.append(event)
        sizes.append(size)
        count += size
        while count > limit || events.count - first > Self.eventLimit {
            count -= sizes[first]
            first += 1
        }
        if first > events.count / 2 {
            events.removeSubrange(..<first)
            sizes.removeSubrange(..<first)
            first = 0
        }
    }

    /// Everything kept, in its order.
    var all: [ProcessEvent] { Array(events[first...]) }

    /// Everything kept, in its order; none is left.
    mutating func takeAll() -> [ProcessEvent] {
        defer { self = ReplayBuffer(limit: limit) }
        return all
    }
}
