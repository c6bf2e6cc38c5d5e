/// The unused app connections of one upstream on one event loop; last in, first out. Touched on that loop only.
final class IdlePool {
    private(set) var connections: [UpstreamHandler] = []
    /// Whether the loop's tick already looks at this pool.
    var isWatched = false

    /// The connection used last.
    @inline(__always) func take() -> UpstreamHandler? { connections.popLast() }

    /// Keeps a connection; false when there are enough.
    @inline(__always) func keep(_ connection: UpstreamHandler, limit: Int) -> Bool {
        guard connections.count < limit else { return false }
        connections.append(connection)
        return true
    }

    /// Forgets a connection that has ended.
    func remove(_ connection: UpstreamHandler) {
        connections.removeAll { $0 === connection }
    }

    /// Closes the connections unused since before `stamp`; the oldest come first.
    func close(unusedSince stamp: UInt64) {
        let old = connections.prefix { $0.idleSince <= stamp }
        guard !old.isEmpty else { return }
        let closing = Array(old)
        connections.removeFirst(closing.count)
        for connection in closing { connection.close() }
    }

    /// Closes all.
    func closeAll() { close(unusedSince: .max) }
}
