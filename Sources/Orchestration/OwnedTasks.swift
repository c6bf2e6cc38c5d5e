import DeploymentCore

/// The long-lived tasks of one owner: none outlives `close()`.
final class OwnedTasks: Sendable {
    private struct State {
        var tasks: [UInt64: Task<Void, Never>] = [:]
        var nextID: UInt64 = 0
        var isClosed = false
    }

    private let state = Locked(State())

    /// Starts `body`; nothing happens once the owner is closed.
    @discardableResult
    func start(_ body: @escaping @Sendable () async -> Void) -> Task<Void, Never>? {
        state.withLock { state in
            guard !state.isClosed else { return nil }
            state.nextID += 1
            let id = state.nextID
            let task = Task {
                await body()
                self.state.withLock { _ = $0.tasks.removeValue(forKey: id) }
            }
            state.tasks[id] = task
            return task
        }
    }

    /// Cancels every task and waits for its end.
    func close() async {
        let tasks = state.withLock { state in
            state.isClosed = true
            return Array(state.tasks.values)
        }
        for task in tasks { task.cancel() }
        for task in tasks { await task.value }
    }
}

/// Runs `body` to its end even when the caller is cancelled: for undoing, which must not be half-done.
func uncancelled<Result: Sendable>(_ body: @escaping @Sendable () async throws -> Result) async throws -> Result {
    try await Task { try await body() }.value
}

/// Runs `body` within `limit`; past it the body is cancelled and `error` thrown.
func withDeadline<Result: Sendable>(
    _ limit: Duration, clock: any Clock<Duration>, _ error: @autoclosure @escaping @Sendable () -> BerthError,
    _ body: @escaping @Sendable () async throws -> Result
) async throws -> Result {
    try await withThrowingTaskGroup(of: Result.self) { group in
        group.addTask(operation: body)
        group.addTask {
            try await clock.sleep(for: limit, tolerance: nil)
            throw error()
        }
        defer { group.cancelAll() }
        guard let result = try await group.next() else { throw CancellationError() }
        return result
    }
}

extension Clock where Duration == Swift.Duration {
    func sleep(for duration: Swift.Duration, tolerance: Swift.Duration?) async throws {
        try await sleep(until: now.advanced(by: duration), tolerance: tolerance)
    }
}
