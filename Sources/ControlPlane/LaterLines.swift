import DeploymentCore
import Orchestration

/// The lines of a log from a time on; the first of them lets all others through.
final class LaterLines: Sendable {
    private let since: String?
    private let isReached: Locked<Bool>

    /// - Parameter since: milliseconds since 1970; nil lets everything through.
    init(since: Int64?) {
        self.since = since.map(LogBook.timestamp)
        isReached = Locked(since == nil)
    }

    /// What of some whole lines is late enough; their times compare as text.
    func of(_ text: String) -> String {
        guard let since, !isReached.withLock({ $0 }) else { return text }
        let lines = text.split(separator: "\n", omittingEmptySubsequences: true)
        let rest = lines.drop { $0.prefix(while: { $0 != " " }) < since }
        guard !rest.isEmpty else { return "" }
        isReached.withLock { $0 = true }
        return rest.map { "\($0)\n" }.joined()
    }
}
