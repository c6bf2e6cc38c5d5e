import DeploymentCore

/// Runs `body` within `limit`; past it the body is cancelled and `error` thrown.
public func withDeadline<Result: Sendable>(
    _ limit: Duration, clock: any Clock<Duration> = ContinuousClock(),
    _ error: @autoclosure @escaping @Sendable () -> BerthError,
    _ body: @escaping @Sendable () async throws -> Result
) async throws -> Result {
    try await withThrowingTaskGroup(of: Result.self) { group in
        group.addTask(operation: body)
        group.addTask {
            try await clock.pause(for: limit)
            throw error()
        }
        defer { group.cancelAll() }
        guard let result = try await group.next() else { throw CancellationError() }
        return result
    }
}

extension Clock where Duration == Swift.Duration {
    /// Sleeps, on any clock of durations.
    public func pause(for duration: Swift.Duration) async throws {
        try await sleep(until: now.advanced(by: duration), tolerance: nil)
    }

    /// Begins a wait whose length is known only later: what is decided in between is not waited for twice.
    public func beginPause() -> @Sendable (Swift.Duration) async throws -> Void {
        let start = now
        return { try await self.sleep(until: start.advanced(by: $0), tolerance: nil) }
    }
}
