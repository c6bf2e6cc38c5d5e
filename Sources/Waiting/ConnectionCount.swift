import DeploymentCore

/// Counts client connections, in all and by address, and waits until there is none.
public final class ConnectionCount: Sendable {
    private struct State {
        var total = 0
        var byAddress: [String: Int] = [:]
        var waiters: [CheckedContinuation<Void, Never>] = []
    }

    private let state = Locked(State())
    private let limit: Int
    private let limitPerAddress: Int

    /// Creates a count; addresses of this machine are limited only together.
    public init(limit: Int, perAddress: Int) {
        self.limit = limit
        limitPerAddress = perAddress
    }

    /// Counts one in; false when it is one too many, and yet it has to be counted out.
    public func enter(_ address: String) -> Bool {
        state.withLock { state in
            state.total += 1
            guard !Self.isLoopback(address) else { return state.total <= limit }
            let count = state.byAddress[address, default: 0] + 1
            state.byAddress[address] = count
            return state.total <= limit && count <= limitPerAddress
        }
    }

    /// Counts one out.
    public func leave(_ address: String) {
        let waiters = state.withLock { state -> [CheckedContinuation<Void, Never>] in
            state.total -= 1
            if !Self.isLoopback(address) {
                let count = state.byAddress[address, default: 1] - 1
                state.byAddress[address] = count > 0 ? count : nil
            }
            guard state.total == 0 else { return [] }
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    /// The connections there are.
    public var total: Int { state.withLock { $0.total } }

    /// Returns when there is none.
    public func empty() async {
        await withCheckedContinuation { continuation in
            let isEmpty = state.withLock { state in
                if state.total == 0 { return true }
                state.waiters.append(continuation)
                return false
            }
            if isEmpty { continuation.resume() }
        }
    }

    private static func isLoopback(_ address: String) -> Bool {
        address.hasPrefix("127.") || address == "::1" || address.isEmpty
    }
}
