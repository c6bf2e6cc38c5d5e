/// Sizes as manifests write them: a number and a binary unit.
enum SizeText {
    /// The pattern for the JSON Schema.
    static let pattern = "^[0-9]{1,9}(\\.[0-9]{1,3})?(Ki|Mi|Gi|Ti)$"

    private static let units: [(name: String, bytes: Int64)] = [
        ("Ki", 1 << 10), ("Mi", 1 << 20), ("Gi", 1 << 30), ("Ti", 1 << 40),
    ]

    /// The bytes of `512Mi`, `1.5Gi`; nil for anything else.
    static func parse(_ text: String) -> Int64? {
        guard let unit = units.first(where: { text.hasSuffix($0.name) }) else { return nil }
        let parts = text.dropLast(unit.name.count).split(separator: ".", omittingEmptySubsequences: false)
        guard let whole = parts.first, (1...9).contains(whole.utf8.count), parts.count <= 2,
            parts.allSatisfy({ !$0.isEmpty && $0.utf8.allSatisfy(\.isDigit) }), let count = Int64(whole)
        else { return nil }
        let (bytes, overflow) = count.multipliedReportingOverflow(by: unit.bytes)
        guard !overflow else { return nil }
        guard parts.count == 2 else { return bytes }
        guard (1...3).contains(parts[1].utf8.count), let fraction = Double("0.\(parts[1])") else { return nil }
        return bytes + Int64((fraction * Double(unit.bytes)).rounded())
    }

    /// What was likely meant by a text that is no size: `2GB`, `512m`, `2 Gi`, `2147483648`.
    static func repaired(_ text: String) -> String? {
        let plain = text.replacing(" ", with: "").lowercased()
        let digits = plain.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        let name: String
        switch plain.dropFirst(digits.count) {
        case "k", "kb", "kib", "ki": name = "Ki"
        case "m", "mb", "mib", "mi": name = "Mi"
        case "g", "gb", "gib", "gi": name = "Gi"
        case "t", "tb", "tib", "ti": name = "Ti"
        case "", "b":
            guard let bytes = Int64(digits),
                let unit = units.last(where: { bytes >= $0.bytes && bytes % $0.bytes == 0 })
            else { return nil }
            return "\(bytes / unit.bytes)\(unit.name)"
        default: return nil
        }
        let repaired = String(digits) + name
        return parse(repaired) == nil ? nil : repaired
    }
}
