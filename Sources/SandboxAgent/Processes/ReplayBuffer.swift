import E2BProtocol

/// The latest output that nobody has received.
struct ReplayBuffer {
    /// Bytes of output kept.
    static let limit = 256 << 10
    private var events: [ProcessEvent] = []
    private var sizes: [Int] = []
    private var first = 0
    private var count = 0

    /// Keeps an event with `size` bytes of output; the oldest give way.
    mutating func append(_ event: ProcessEvent, size: Int) {
        events.append(event)
        sizes.append(size)
        count += size
        while count > Self.limit {
            count -= sizes[first]
            first += 1
        }
        if first > events.count / 2 {
            events.removeSubrange(..<first)
            sizes.removeSubrange(..<first)
            first = 0
        }
    }

    /// Everything kept, in its order; none is left.
    mutating func takeAll() -> [ProcessEvent] {
        defer { self = ReplayBuffer() }
        return Array(events[first...])
    }
}
