/// The requests that still run on an upstream which takes no new ones.
///
/// Nobody has to wait: when the last one has ended, the upstream's connections are closed in any case.
public struct DrainHandle: Sendable {
    let generation: Generation
    let gateway: Gateway

    /// Whether every request on the upstream has ended.
    public var isDrained: Bool { gateway.board.isDrained(generation) }

    /// Waits until every request on the upstream has ended.
    ///
    /// Those that have not after `limit`, or when the task is cancelled, are ended: with 504 where no answer has begun,
    /// by closing the connection where one has.
    ///
    /// - Returns: true when all ended by themselves.
    public func wait(upTo limit: Duration) async -> Bool {
        await withTaskGroup(of: Bool.self) { group in
            group.addTask {
                await gateway.board.drained(generation)
                return true
            }
            group.addTask {
                try? await Task.sleep(for: limit)
                return false
            }
            let ended = await group.next() ?? true
            group.cancelAll()
            if !ended { await gateway.cut(generation) }
            return ended
        }
    }
}
