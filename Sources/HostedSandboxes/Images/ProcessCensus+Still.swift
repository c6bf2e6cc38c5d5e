import Sandboxes
import Waiting

extension ProcessCensus {
    /// How often those who appear while others are stopped are stopped too.
    private static let stopRounds = 10

    /// Keeps all processes of a sandbox from running while `body` runs, beginning with those of this census.
    ///
    /// - Parameter staysStill: whether they stay so after a success; after an error they go on in any case.
    func still<Result: Sendable>(
        _ held: HeldSandbox, staysStill: Bool = false, _ body: () async throws -> Result
    ) async throws -> Result {
        var stopped: [Int] = []
        do {
            var census = self
            for _ in 0..<Self.stopRounds {
                let more = try await census.stop(held)
                if more.isEmpty { break }
                stopped += more
                census = try await Self.take(held)
            }
            let result = try await body()
            if !staysStill { try await Self.signal("CONT", stopped, held) }
            return result
        } catch {
            // Nobody stays stopped because of us, and not because the caller went away either.
            let pids = stopped
            try? await uncancelled { try await Self.signal("CONT", pids, held) }
            throw error
        }
    }
}
