import Glibc

/// Two connected sockets whose bytes go to each other.
final class Relay {
    /// Bytes read ahead of a socket that does not take them, in each direction.
    static let bufferLimit = 64 << 10
    /// The longest time in which nothing moves, in milliseconds.
    static let idleLimit: Int64 = 600_000
    private let loop: EventLoop
    private let whenOver: (Relay) -> Void
    private var ends: [RelayEnd] = []
    private var idleTimer: EventLoop.Timer?
    private var lastMoved = EventLoop.now

    /// - Parameter idleLimit: nil where one of the ends decides how long it lives.
    init(
        _ first: Int32, _ second: Int32, loop: EventLoop, idleLimit: Int64? = Relay.idleLimit,
        whenOver: @escaping (Relay) -> Void
    ) {
        self.loop = loop
        self.whenOver = whenOver
        ends = [RelayEnd(first, relay: self), RelayEnd(second, relay: self)]
        for end in ends { loop.add(end) }
        if let idleLimit { awaitIdleness(for: idleLimit) }
    }

    fileprivate func other(than end: RelayEnd) -> RelayEnd? { ends.first { $0 !== end } }

    fileprivate func moved() { lastMoved = EventLoop.now }

    private func awaitIdleness(for milliseconds: Int64) {
        idleTimer = loop.schedule(after: milliseconds) { [weak self] in
            guard let self else { return }
            let idle = EventLoop.now - lastMoved
            if idle >= Self.idleLimit { close() } else { awaitIdleness(for: Self.idleLimit - idle) }
        }
    }

    /// Closes both once nothing can come from either any more.
    fileprivate func closeIfOver() {
        if ends.allSatisfy(\.isOver) { close() }
    }

    fileprivate func close() {
        guard !ends.isEmpty else { return }
        let closing = ends
        ends = []
        loop.cancel(&idleTimer)
        for end in closing {
            loop.remove(end)
            Glibc.close(end.descriptor)
        }
        whenOver(self)
    }
}

/// One socket of a relay.
private final class RelayEnd: EventSource {
    let descriptor: Int32
    private unowned let relay: Relay
    private var queue = OutputQueue()
    private var hasEnded = false
    private var closesWhenWritten = false
    private var isShut = false

    init(_ descriptor: Int32, relay: Relay) {
        self.descriptor = descriptor
        self.relay = relay
    }

    /// Whether nothing will be read from it or written to it any more.
    var isOver: Bool { hasEnded && isShut }

    var interest: Int16 {
        let reads = !hasEnded && (relay.other(than: self)?.queue.count ?? 0) < Relay.bufferLimit
        return (reads ? .readable : 0) | (queue.isEmpty ? 0 : .writable)
    }

    func ready(_ events: Int16) {
        // A relay may close while its end is at work.
        let relay = relay
        if !queue.isEmpty, !flush() { return relay.close() }
        guard events & (.readable | .broken) != 0, !hasEnded, let other = relay.other(than: self) else { return }
        guard let bytes = readAvailable(descriptor, limit: Relay.bufferLimit) else { return }
        relay.moved()
        if bytes.isEmpty {
            hasEnded = true
            other.closesWhenWritten = true
        } else {
            other.queue.append(bytes)
        }
        guard other.flush() else { return relay.close() }
        relay.closeIfOver()
    }

    /// Writes what is taken, and passes the end on behind it; false when the socket is of no more use.
    private func flush() -> Bool {
        let before = queue.count
        // A connection that is still being made takes nothing yet.
        guard queue.flush(to: descriptor) == 0 else { return false }
        if queue.count < before { relay.moved() }
        if queue.isEmpty, closesWhenWritten, !isShut {
            isShut = true
            shutdown(descriptor, Int32(SHUT_WR))
            relay.closeIfOver()
        }
        return true
    }
}
