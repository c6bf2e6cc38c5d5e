import DeploymentCore

/// Runs `body` with a limit.
///
/// - Throws: `timeout`, naming `what`, once the limit has passed; `body` is cancelled then and waited for.
public func withDeadline<Result: Sendable>(
    _ limit: Duration, _ what: String, _ body: @escaping @Sendable () async throws -> Result
) async throws -> Result {
    try await withThrowingTaskGroup(of: Result.self) { group in
        group.addTask { try await body() }
        group.addTask {
            try await Task.sleep(for: limit)
            throw BerthError(.timeout, "\(what) did not come within \(limit)")
        }
        defer { group.cancelAll() }
        guard let result = try await group.next() else { throw CancellationError() }
        return result
    }
}
