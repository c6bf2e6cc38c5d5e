/// The bytes of a manifest: checked to be plain UTF-8 text, and cut into lines for diagnostics.
struct SourceText {
    /// The largest manifest: 1 MiB.
    static let maximumBytes = 1 << 20
    /// The longest part of a line that a diagnostic shows.
    static let maximumShownWidth = 100

    /// The text without its byte order mark; empty when it is too long or UTF-16.
    let bytes: [UInt8]
    private let length: Int
    private let isUTF16: Bool

    /// Takes the bytes of a file.
    init(_ raw: [UInt8]) {
        length = raw.count
        isUTF16 = raw.starts(with: [0xFF, 0xFE]) || raw.starts(with: [0xFE, 0xFF]) || Self.hasAlternatingNULs(raw)
        let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
        if length > Self.maximumBytes || isUTF16 {
            bytes = []
        } else {
            bytes = raw.starts(with: mark) ? Array(raw.dropFirst(mark.count)) : raw
        }
    }

    /// Whether the bytes are few enough, and UTF-8 text without hidden characters; reports what is not.
    func isReadable(findings: Findings) -> Bool {
        let start = Place(line: 1, column: 1)
        guard length <= Self.maximumBytes else {
            findings.error("the manifest is \(length) bytes long; at most \(Self.maximumBytes) are read", at: start)
            return false
        }
        guard !isUTF16 else {
            findings.error("the manifest is UTF-16", at: start, suggestion: "save it as UTF-8")
            return false
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            let offset = Self.validPrefix(of: bytes)
            findings.error(
                "byte \(offset) is not UTF-8", at: place(atByte: offset), suggestion: "save the manifest as UTF-8")
            return false
        }
        return reportForbidden(in: text, findings: findings)
    }

    private static func hasAlternatingNULs(_ bytes: [UInt8]) -> Bool {
        bytes.count >= 4 && (bytes[0] == 0) != (bytes[1] == 0) && (bytes[0] == 0) == (bytes[2] == 0)
            && (bytes[1] == 0) == (bytes[3] == 0)
    }

    /// How many bytes at the start are UTF-8.
    private static func validPrefix(of bytes: [UInt8]) -> Int {
        var decoder = UTF8.ForwardParser()
        var iterator = bytes.makeIterator()
        var count = 0
        while case .valid(let scalar) = decoder.parseScalar(from: &iterator) { count += scalar.count }
        return count
    }

    /// Reports each hidden character; whether there was none.
    private func reportForbidden(in text: String, findings: Findings) -> Bool {
        // Every one of them starts with a byte below 0x20, with 0x7F, or with one of these lead bytes.
        let leads: Set<UInt8> = [0x7F, 0xC2, 0xD8, 0xE2, 0xEF]
        let isSuspect = bytes.withUnsafeBufferPointer { buffer in
            for byte in buffer where byte < 0x20 && byte != 0x0A && byte != 0x0D && byte != 0x09 { return true }
            for byte in buffer where byte >= 0x7F && leads.contains(byte) { return true }
            return false
        }
        guard isSuspect else { return true }
        var line = 1
        var column = 1
        var isClean = true
        var previous: Unicode.Scalar = " "
        for scalar in text.unicodeScalars {
            if scalar.isForbidden {
                isClean = false
                findings.error(
                    "the character \(scalar.spelled) is not allowed", at: Place(line: line, column: column),
                    suggestion: "write it as an escape in double quotes if it is meant")
            }
            if scalar == "\n" && previous == "\r" {
                // The line ended with the carriage return.
            } else if scalar == "\n" || scalar == "\r" {
                line += 1
                column = 1
            } else {
                column += 1
            }
            previous = scalar
        }
        return isClean
    }

    /// The place of a byte.
    func place(atByte offset: Int) -> Place {
        var line = 1
        var start = 0
        for (index, byte) in bytes.prefix(offset).enumerated() {
            guard byte == 0x0A || (byte == 0x0D && bytes[index + 1 < bytes.count ? index + 1 : index] != 0x0A) else {
                continue
            }
            line += 1
            start = index + 1
        }
        let column = String(decoding: bytes[start..<min(offset, bytes.count)], as: UTF8.self).unicodeScalars.count
        return Place(line: line, column: column + 1)
    }

    /// The byte ranges of the lines, without their ends.
    func lineRanges() -> [Range<Int>] {
        var ranges: [Range<Int>] = []
        var start = 0
        bytes.withUnsafeBufferPointer { buffer in
            for index in buffer.indices where buffer[index] == 0x0A || buffer[index] == 0x0D {
                if buffer[index] == 0x0A, index > 0, buffer[index - 1] == 0x0D {
                    start = index + 1
                    continue
                }
                ranges.append(start..<index)
                start = index + 1
            }
        }
        ranges.append(start..<bytes.count)
        return ranges
    }

    /// A line for display, cut around the column when it is long, and the caret's column in it.
    func shown(_ range: Range<Int>, column: Int) -> (line: String, caret: Int) {
        // A scalar takes at most 4 bytes, so this much is enough to find the column and the cut behind it.
        let end = min(range.upperBound, range.lowerBound + 4 * (column + Self.maximumShownWidth))
        let scalars = Array(String(decoding: bytes[range.lowerBound..<end], as: UTF8.self).unicodeScalars)
        var first = 0
        if scalars.count > Self.maximumShownWidth, column > Self.maximumShownWidth * 3 / 4 {
            first = min(column - 1 - Self.maximumShownWidth / 2, scalars.count)
        }
        let last = min(scalars.count, first + Self.maximumShownWidth)
        var line = first > 0 ? "…" : ""
        for scalar in scalars[first..<last] { line.unicodeScalars.append(scalar.isForbidden ? "\u{FFFD}" : scalar) }
        if last < scalars.count { line += "…" }
        return (line, column - first + (first > 0 ? 1 : 0))
    }

    /// The character at a place; nil behind a line's end.
    func character(at place: Place) -> Unicode.Scalar? {
        let ranges = lineRanges()
        guard ranges.indices.contains(place.line - 1) else { return nil }
        let scalars = String(decoding: bytes[ranges[place.line - 1]], as: UTF8.self).unicodeScalars
        return scalars.dropFirst(place.column - 1).first
    }

    /// Whether nothing but blanks follows the place.
    func isEnd(_ place: Place) -> Bool {
        let ranges = lineRanges()
        guard ranges.indices.contains(place.line - 1) else { return true }
        let rest = bytes[ranges[place.line - 1].lowerBound...]
        let behind = String(decoding: rest, as: UTF8.self).unicodeScalars.dropFirst(place.column - 1)
        return behind.allSatisfy { $0 == " " || $0 == "\n" || $0 == "\r" || $0 == "\t" }
    }
}
