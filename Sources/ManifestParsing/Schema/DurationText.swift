/// Durations as manifests write them: a whole number and a unit.
enum DurationText {
    /// The pattern for the JSON Schema.
    static let pattern = "^[0-9]{1,9}(ms|s|m|h)$"

    private static let units: [(name: String, milliseconds: Int)] = [
        ("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000),
    ]

    /// The duration of `500ms`, `30s`, `5m`, `1h`; nil for anything else.
    static func parse(_ text: String) -> Duration? {
        let digits = text.utf8.prefix(while: \.isDigit)
        let unit = String(text.utf8.dropFirst(digits.count)) ?? ""
        guard (1...9).contains(digits.count), let count = Int(String(decoding: digits, as: UTF8.self)),
            let milliseconds = units.first(where: { $0.name == unit })?.milliseconds
        else { return nil }
        return .milliseconds(count * milliseconds)
    }

    /// The shortest spelling that `parse` reads back; fractions of a millisecond are dropped.
    static func write(_ duration: Duration) -> String {
        let total = milliseconds(duration)
        let unit = units.last { total % $0.milliseconds == 0 && (total >= $0.milliseconds) } ?? units[1]
        // `120s` is what people write; only whole hours and small numbers of minutes become larger units.
        let shown = unit.name == "m" && total < 300_000 ? units[1] : unit
        return "\(total / shown.milliseconds)\(shown.name)"
    }

    /// What was likely meant by a text that is no duration: a missing unit, a fraction, several units, a long unit.
    static func repaired(_ text: String) -> String? {
        var rest = Substring(text.replacing(" ", with: "").lowercased())
        var total = 0.0
        guard !rest.isEmpty, rest.utf8.count <= 40 else { return nil }
        while !rest.isEmpty {
            let digits = rest.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
            rest = rest.dropFirst(digits.count)
            let unit = rest.prefix { $0.isLetter }
            rest = rest.dropFirst(unit.count)
            guard let count = Double(digits), let factor = factor(of: unit) else { return nil }
            total += count * factor
        }
        guard total.rounded() == total, total <= 1e12 else { return nil }
        return write(.milliseconds(Int(total)))
    }

    private static func factor(of unit: Substring) -> Double? {
        switch unit {
        case "ms", "msec", "millis", "milliseconds", "millisecond": 1
        case "", "s", "sec", "secs", "second", "seconds": 1000
        case "m", "min", "mins", "minute", "minutes": 60_000
        case "h", "hr", "hour", "hours": 3_600_000
        default: nil
        }
    }

    private static func milliseconds(_ duration: Duration) -> Int {
        let (seconds, attoseconds) = duration.components
        return Int(seconds) * 1000 + Int(attoseconds / 1_000_000_000_000_000)
    }
}
