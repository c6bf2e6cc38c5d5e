/// Runs `body` to its end even when the caller is cancelled: for undoing, which must not be half-done.
public func uncancelled<Result: Sendable>(_ body: @escaping @Sendable () async throws -> Result) async throws -> Result
{
    try await Task { try await body() }.value
}
