import DeploymentCore
import Foundation

/// Points in time as people write them: how long ago (`10m`, `1h30m`, `2d`), or a date (`2026-11-21T02:03:04Z`).
enum TimeText {
    private static let units: [Character: Int64] = ["s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000]
    /// The longest time ago, in milliseconds: ten years.
    private static let longest: Int64 = 3_650 * 86_400_000

    /// Milliseconds since 1970.
    ///
    /// - Throws: `usage` for anything else.
    static func parse(_ text: String, now: Int64) throws -> Int64 {
        if let ago = milliseconds(text) { return now - ago }
        for options: ISO8601DateFormatter.Options in [
            .withInternetDateTime, [.withInternetDateTime, .withFractionalSeconds], .withFullDate,
        ] {
            let formatter = ISO8601DateFormatter()
            formatter.formatOptions = options
            if let date = formatter.date(from: text) { return Int64(date.timeIntervalSince1970 * 1_000) }
        }
        throw BerthError(
            .usage, "\(text) is no time", suggestion: "write 30s, 10m, 1h30m or 2d for how long ago, or a date in UTC")
    }

    /// The error for a text that `milliseconds` does not understand.
    static func noLength(_ text: String) -> BerthError {
        BerthError(.usage, "\(text) is no length of time", suggestion: "write 90s, 10m, 1h30m or 2d")
    }

    /// The length of `10m`, `1h30m`, `2d` in milliseconds; nil for anything else, and for more than ten years.
    static func milliseconds(_ text: String) -> Int64? {
        var rest = Substring(text)
        var total: Int64 = 0
        while !rest.isEmpty {
            let digits = rest.prefix { $0.isASCII && $0.isNumber }
            guard (1...9).contains(digits.count), let count = Int64(digits),
                let unit = rest.dropFirst(digits.count).first.flatMap({ units[$0] })
            else { return nil }
            total += count * unit
            guard total <= longest else { return nil }
            rest = rest.dropFirst(digits.count + 1)
        }
        return text.isEmpty ? nil : total
    }
}
