import DeploymentCore

/// The way into a request body that is made while it is sent; whoever writes waits while the connection is slower.
public final class HTTPBodyWriter: Sendable {
    /// The bytes that may wait to be sent before a writer has to.
    public static let maximumBuffered = 256 << 10

    private struct State {
        var buffer: [UInt8] = []
        /// How much of `buffer` was sent.
        var sent = 0
        var end: Result<Void, any Error>?
        /// Whether the connection wanted bytes when there were none.
        var isStarved = false
        var isOver = false
        var waiter: CheckedContinuation<Void, Never>?
        var wake: (@Sendable () -> Void)?

        mutating func takeWaiter() -> CheckedContinuation<Void, Never>? {
            defer { waiter = nil }
            return waiter
        }
    }

    /// What the connection gets when it asks.
    enum Portion {
        case bytes(Int)
        case later
        case end
        case failure(any Error)
    }

    private let state = Locked(State())

    init() {}

    /// Queues bytes and waits for room.
    ///
    /// - Throws: `unreachable` once the request is over, `CancellationError`.
    public func write(_ bytes: some Collection<UInt8>) async throws {
        try Task.checkCancellation()
        change { $0.buffer += bytes }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isReady = state.withLock { state in
                    let isFull = state.buffer.count - state.sent >= Self.maximumBuffered
                    guard isFull, !state.isOver, !Task.isCancelled else { return true }
                    state.waiter = continuation
                    return false
                }
                if isReady { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.takeWaiter() }?.resume()
        }
        try Task.checkCancellation()
        guard !state.withLock(\.isOver) else { throw BerthError(.unreachable, "the request ended before its body") }
    }

    /// Ends the body; with an error the request fails, so that half a body is never taken for a whole one.
    func finish(_ end: Result<Void, any Error>) { change { $0.end = $0.end ?? end } }

    private func change(_ body: (inout State) -> Void) {
        let wake = state.withLock { state -> (@Sendable () -> Void)? in
            body(&state)
            defer { state.isStarved = false }
            return state.isStarved ? state.wake : nil
        }
        wake?()
    }
}

// The connection's side.
extension HTTPBodyWriter {
    /// Says how to tell the connection that there are bytes again.
    func attach(_ wake: @escaping @Sendable () -> Void) { state.withLock { $0.wake = wake } }

    /// Copies what waits into `target`.
    func fill(_ target: UnsafeMutableRawBufferPointer) -> Portion {
        let (portion, waiter) = state.withLock { state -> (Portion, CheckedContinuation<Void, Never>?) in
            let count = min(target.count, state.buffer.count - state.sent)
            guard count > 0 else {
                switch state.end {
                case .success?: return (.end, nil)
                case .failure(let error)?: return (.failure(error), nil)
                case nil:
                    state.isStarved = true
                    return (.later, nil)
                }
            }
            target.copyBytes(from: state.buffer[state.sent..<state.sent + count])
            state.sent += count
            if state.sent == state.buffer.count {
                state.buffer.removeAll(keepingCapacity: true)
                state.sent = 0
            }
            let hasRoom = state.buffer.count - state.sent < Self.maximumBuffered
            return (.bytes(count), hasRoom ? state.takeWaiter() : nil)
        }
        waiter?.resume()
        return portion
    }

    /// Nobody takes bytes any more.
    func close() {
        state.withLock { state in
            state.isOver = true
            state.wake = nil
            return state.takeWaiter()
        }?.resume()
    }
}
