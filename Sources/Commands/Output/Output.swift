import DeploymentCore
import Foundation

/// Results on standard output.
enum Output {
    static func json(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }

    /// Columns as wide as their widest cell; what an app or a sandbox put into a cell is only shown.
    static func table(_ rows: [[String]]) -> String {
        let rows = rows.map { row in row.map { VisibleText.of($0).replacing("\n", with: " ") } }
        let count = rows.map(\.count).max() ?? 0
        let widths = (0..<count).map { column in rows.map { $0.count > column ? $0[column].count : 0 }.max() ?? 0 }
        return rows.map { row in
            let cells = row.enumerated().map { index, cell in
                index == row.count - 1 ? cell : cell + String(repeating: " ", count: widths[index] - cell.count)
            }
            return cells.joined(separator: "  ")
        }.joined(separator: "\n")
    }

    /// `12 ms`, `1.24 s`, `2 min 5 s`.
    static func duration(milliseconds: Double) -> String {
        if milliseconds < 10 { return "\((milliseconds * 10).rounded() / 10) ms" }
        if milliseconds < 1_000 { return "\(Int(milliseconds.rounded())) ms" }
        if milliseconds < 60_000 { return "\((milliseconds / 10).rounded() / 100) s" }
        let seconds = Int((milliseconds / 1_000).rounded())
        return "\(seconds / 60) min \(seconds % 60) s"
    }

    /// How long until then, in two units at most: `42s`, `5m`, `1h 59m`, `2d 3h`.
    static func until(_ time: Int64, now: Int64) -> String {
        let seconds = max(0, (time - now + 999) / 1_000)
        let units: [(name: String, seconds: Int64)] = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)]
        guard let first = units.firstIndex(where: { seconds >= $0.seconds }) else { return "0s" }
        let unit = units[first]
        let rest = seconds % unit.seconds
        let more = units.dropFirst(first + 1).first.map { (count: rest / $0.seconds, name: $0.name) }
        let tail = more.map { $0.count > 0 ? " \($0.count)\($0.name)" : "" } ?? ""
        return "\(seconds / unit.seconds)\(unit.name)\(tail)"
    }

    /// `512 B`, `1.4 kB`, `23.0 MB`; decimal units.
    static func bytes(_ bytes: Int64) -> String {
        var value = Double(bytes)
        for unit in ["B", "kB", "MB", "GB"] {
            if value < 1_000 { return unit == "B" ? "\(bytes) B" : "\((value * 10).rounded() / 10) \(unit)" }
            value /= 1_000
        }
        return "\((value * 10).rounded() / 10) TB"
    }

    /// Local time for people: `2026-11-21 02:03:04`.
    static func time(_ milliseconds: Int64) -> String {
        let formatter = DateFormatter()
        formatter.locale = Locale(identifier: "en_US_POSIX")
        formatter.dateFormat = "yyyy-MM-dd HH:mm:ss"
        return formatter.string(from: Date(timeIntervalSince1970: Double(milliseconds) / 1_000))
    }
}
