import DeploymentCore

/// The exchanges that run, by sandbox: they end with it.
final class OpenExchanges: Sendable {
    private struct Watched {
        var leases: [UInt64: Lease] = [:]
        let number: UInt64
        let watch: Task<Void, Never>
    }

    private struct State {
        var total = 0
        var lastNumber: UInt64 = 0
        var sandboxes: [String: Watched] = [:]
    }

    private let state = Locked(State())
    private let limit: Int
    private let limitPerSandbox: Int

    init(limit: Int, perSandbox: Int) {
        self.limit = limit
        limitPerSandbox = perSandbox
    }

    /// The exchanges there are.
    var total: Int { state.withLock { $0.total } }

    /// Counts an exchange with the control plane in.
    func enter() throws(GateRefusal) -> Lease {
        let lease = state.withLock { state -> Lease? in
            guard state.total < limit else { return nil }
            state.total += 1
            state.lastNumber += 1
            return Lease(sandbox: nil, number: state.lastNumber)
        }
        guard let lease else { throw .tooManyExchanges }
        return lease
    }

    /// Counts an exchange with a sandbox in; it is reset when `closed` returns, which may have been before.
    func enter(_ sandbox: String, closed: @escaping @Sendable () async -> Void) throws(GateRefusal) -> Lease {
        let result = state.withLock { state -> Result<Lease, GateRefusal> in
            guard state.total < limit else { return .failure(.tooManyExchanges) }
            guard state.sandboxes[sandbox]?.leases.count ?? 0 < limitPerSandbox else {
                return .failure(.tooManyOfSandbox(sandbox))
            }
            state.total += 1
            state.lastNumber += 1
            let lease = Lease(sandbox: sandbox, number: state.lastNumber)
            if state.sandboxes[sandbox] == nil {
                let number = state.lastNumber
                let watch = Task {
                    await closed()
                    if !Task.isCancelled { self.end(sandbox, number) }
                }
                state.sandboxes[sandbox] = Watched(number: number, watch: watch)
            }
            state.sandboxes[sandbox]?.leases[lease.number] = lease
            return .success(lease)
        }
        return try result.get()
    }

    /// Counts an exchange out; again is no error.
    func leave(_ lease: Lease) {
        guard lease.end() else { return }
        state.withLock { state in
            state.total -= 1
            guard let sandbox = lease.sandbox else { return }
            state.sandboxes[sandbox]?.leases[lease.number] = nil
        }
    }

    /// The sandbox was closed: its exchanges are reset, and the next one looks at a new way.
    private func end(_ sandbox: String, _ number: UInt64) {
        let leases = state.withLock { state -> [Lease] in
            guard let watched = state.sandboxes[sandbox], watched.number == number else { return [] }
            state.sandboxes[sandbox] = nil
            return Array(watched.leases.values)
        }
        for lease in leases { lease.reset() }
    }

    /// Looks at no sandbox any more.
    func stop() {
        let watches = state.withLock { state in
            defer { state.sandboxes = [:] }
            return state.sandboxes.values.map(\.watch)
        }
        for watch in watches { watch.cancel() }
    }
}

/// One exchange's place among the open ones.
final class Lease: Sendable {
    private struct State {
        var isReset = false
        var hasEnded = false
        var onReset: (@Sendable () -> Void)?
    }

    /// The sandbox; nil for the control plane.
    let sandbox: String?
    let number: UInt64
    private let state = Locked(State())

    init(sandbox: String?, number: UInt64) {
        self.sandbox = sandbox
        self.number = number
    }

    /// Calls `body` once when the sandbox is closed, at once when it has been.
    func onReset(_ body: @escaping @Sendable () -> Void) {
        let isReset = state.withLock { state in
            if !state.isReset { state.onReset = body }
            return state.isReset
        }
        if isReset { body() }
    }

    fileprivate func reset() {
        let body = state.withLock { state in
            defer { state.onReset = nil }
            state.isReset = true
            return state.onReset
        }
        body?()
    }

    /// Whether this was the first end.
    fileprivate func end() -> Bool {
        state.withLock { state in
            defer { state.hasEnded = true }
            state.onReset = nil
            return !state.hasEnded
        }
    }
}
