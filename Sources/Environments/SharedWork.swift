import DeploymentCore

/// One piece of work that several callers wait for: a caller that is cancelled leaves, the last one to leave ends it.
final class SharedWork: Sendable {
    typealias Progress = @Sendable (EnvironmentProgress) -> Void

    private struct State {
        var waiters: [UInt64: (continuation: CheckedContinuation<Environment?, any Error>, progress: Progress)] = [:]
        var result: Result<Environment, any Error>?
        var latest: EnvironmentProgress?
        var task: Task<Void, Never>?
        var isAbandoned = false
        var lastID: UInt64 = 0
    }

    private let state = Locked(State())

    /// Starts the work in a task that this object owns; `ended` runs after the callers were told.
    func start(
        _ operation: @escaping @Sendable (@escaping Progress) async throws -> Environment,
        ended: @escaping @Sendable () async -> Void
    ) {
        let task = Task {
            do {
                finish(.success(try await operation { self.report($0) }))
            } catch {
                finish(.failure(error))
            }
            await ended()
        }
        state.withLock { $0.task = task }
    }

    /// Waits for the result; nil when the work was abandoned before this caller came. Who comes later is told first how
    /// far it is.
    func value(progress: @escaping Progress) async throws -> Environment? {
        let id = state.withLock { state in
            state.lastID += 1
            return state.lastID
        }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let now: Result<Environment?, any Error>? = state.withLock { state in
                    if Task.isCancelled { return .failure(CancellationError()) }
                    if let result = state.result { return result.map { $0 } }
                    if state.isAbandoned { return .success(nil) }
                    state.waiters[id] = (continuation, progress)
                    // Inside the lock, so that nothing later overtakes it.
                    if let latest = state.latest { progress(latest) }
                    return nil
                }
                guard let now else { return }
                if case .failure(let error) = now, error is CancellationError { leave(id) }
                continuation.resume(with: now)
            }
        } onCancel: {
            leave(id)
        }
    }

    /// Ends the work; `ended` waits until it has cleaned up.
    func abandon() {
        let task = state.withLock { state in
            state.isAbandoned = true
            return state.task
        }
        task?.cancel()
    }

    /// Waits until nothing of the work runs any more.
    func ended() async {
        await state.withLock(\.task)?.value
    }

    private func leave(_ id: UInt64) {
        let (waiter, task) = state.withLock { state in
            let waiter = state.waiters.removeValue(forKey: id)
            let isLast = state.waiters.isEmpty && state.result == nil
            if isLast { state.isAbandoned = true }
            return (waiter, isLast ? state.task : nil)
        }
        task?.cancel()
        waiter?.continuation.resume(throwing: CancellationError())
    }

    private func report(_ progress: EnvironmentProgress) {
        let listeners = state.withLock { state in
            state.latest = progress
            return state.waiters.values.map(\.progress)
        }
        for listener in listeners { listener(progress) }
    }

    private func finish(_ result: Result<Environment, any Error>) {
        let waiters = state.withLock { state in
            state.result = result
            defer { state.waiters = [:] }
            return state.waiters.values.map(\.continuation)
        }
        for waiter in waiters { waiter.resume(with: result.map { $0 }) }
    }
}
