import DeploymentCore

/// The body of a request on its way through, read from the socket only as fast as somebody takes it.
final class RelayBody: Sendable {
    private struct State {
        var parts: [[UInt8]] = []
        var isWhole = false
        var isBroken = false
        var waiter: CheckedContinuation<Void, Never>?
    }

    private let state = Locked(State())
    /// Asks for more of the socket.
    private let demand: @Sendable () -> Void

    init(demand: @escaping @Sendable () -> Void) { self.demand = demand }

    /// Whether all of it has come.
    var isWhole: Bool { state.withLock(\.isWhole) }
    /// Whether the sender went away before.
    var isBroken: Bool { state.withLock(\.isBroken) }

    func append(_ bytes: [UInt8]) { change { $0.parts.append(bytes) } }
    func finish() { change { $0.isWhole = true } }
    func breakOff() { change { if !$0.isWhole { $0.isBroken = true } } }

    private func change(_ body: (inout State) -> Void) {
        let waiter = state.withLock { state in
            body(&state)
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume()
    }

    /// The next bytes; nil at the end. One reader.
    ///
    /// - Throws: `unreachable` when the sender went away, `CancellationError`.
    func next() async throws -> [UInt8]? {
        while true {
            try Task.checkCancellation()
            let (part, isWhole, isBroken) = state.withLock { state in
                (state.parts.isEmpty ? nil : state.parts.removeFirst(), state.isWhole, state.isBroken)
            }
            if let part { return part }
            if isWhole { return nil }
            if isBroken { throw BerthError(.unreachable, "the sender of a request went away") }
            await wait()
        }
    }

    private func wait() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isReady = state.withLock { state in
                    guard state.parts.isEmpty, !state.isWhole, !state.isBroken, !Task.isCancelled else { return true }
                    state.waiter = continuation
                    return false
                }
                if isReady { continuation.resume() } else { demand() }
            }
        } onCancel: {
            change { _ in }
        }
    }
}
