/// The text in single quotes for a message: cut to 60 characters, control and direction characters spelled out.
func quoted(_ text: String) -> String {
    let limit = 60
    let scalars = text.unicodeScalars
    var shown = ""
    for scalar in scalars.prefix(limit) {
        if scalar.isForbidden || scalar == "\n" || scalar == "\t" || scalar == "\r" {
            shown += scalar.spelled
        } else {
            shown.unicodeScalars.append(scalar)
        }
    }
    return "'\(shown)\(scalars.dropFirst(limit).isEmpty ? "" : "…")'"
}

/// `'a'`, `'a' or 'b'`, `'a', 'b' or 'c'`.
func alternatives(_ texts: [String]) -> String {
    guard let last = texts.last, texts.count > 1 else { return texts.first ?? "" }
    return texts.dropLast().joined(separator: ", ") + " or " + last
}

extension Unicode.Scalar {
    /// Characters that change what a reader sees without being seen: controls but tab and line ends, the byte order
    /// mark, line and paragraph separators, and the bidirectional controls (CVE-2021-42574).
    var isForbidden: Bool {
        switch value {
        case 0x09, 0x0A, 0x0D: false
        case 0..<0x20, 0x7F..<0xA0: true
        case 0x061C, 0x200E, 0x200F, 0x2028...0x202E, 0x2066...0x2069, 0xFEFF: true
        default: false
        }
    }

    /// `U+202E`.
    var spelled: String {
        let hex = String(value, radix: 16, uppercase: true)
        return "U+" + String(repeating: "0", count: max(4 - hex.count, 0)) + hex
    }

    /// How many terminal cells the character takes; near enough for a caret (UAX #11 wide ranges, marks as 0).
    var terminalWidth: Int {
        switch value {
        case 0..<0x300: return 1
        case 0x200B...0x200F, 0xFE00...0xFE0F: return 0
        case 0x1100...0x115F, 0x2E80...0x303E, 0x3041...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F,
            0xFF00...0xFF60, 0xFFE0...0xFFE6, 0x1F300...0x1F64F, 0x1F680...0x1F6FF, 0x1F900...0x1FAFF,
            0x20000...0x3FFFD:
            return 2
        default:
            switch properties.generalCategory {
            case .nonspacingMark, .enclosingMark: return 0
            default: return 1
            }
        }
    }
}
