import DeploymentCore

/// When a call that was refused is made again, and after which wait (protocol note 1.3).
enum E2BRetry {
    /// The most repetitions of one call.
    static let limit = 3
    /// The wait before the first repetition where the service names none; it doubles.
    static let firstDelay = Duration.milliseconds(100)
    /// The longest wait of ours.
    static let longestDelay = Duration.seconds(10)
    /// What may be repeated unless the service says otherwise.
    static let passing: Set<Int> = [429, 502, 503, 504]

    /// The wait before the repetition of a refused call; nil when it is not repeated.
    ///
    /// - Parameters:
    ///   - shouldRetry: `Should-Retry`, which has the last word where it is there.
    ///   - retryAfter: `Retry-After`; anything but a plain number of seconds is ignored.
    ///   - attempt: how often it was repeated already.
    ///   - jitter: the part of our own wait that is waited, 0.5 to 1.
    static func delay(
        status: Int, shouldRetry: String?, retryAfter: String?, attempt: Int, jitter: Double
    ) -> Duration? {
        guard attempt < limit else { return nil }
        if let shouldRetry {
            guard shouldRetry.lowercased() == "true" else { return nil }
        } else if !passing.contains(status) {
            return nil
        }
        return seconds(retryAfter).map { .seconds($0) } ?? backOff(attempt, jitter)
    }

    /// The wait before repetition `attempt`, counted from 0.
    static func backOff(_ attempt: Int, _ jitter: Double) -> Duration {
        min(firstDelay * (1 << min(max(attempt, 0), 20)), longestDelay) * min(max(jitter, 0.5), 1)
    }

    /// A plain decimal number of seconds, at most a day.
    static func seconds(_ text: String?) -> Int? {
        guard let text, !text.isEmpty, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return Int(text).flatMap { $0 <= 86_400 ? $0 : nil }
    }
}
