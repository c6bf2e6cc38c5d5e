extension TextRule {
    /// A DNS label (RFC 1123).
    static let label = TextRule(
        "a DNS label", pattern: "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", maximumBytes: 1024
    ) { text in
        let isLabel =
            (1...63).contains(text.utf8.count) && text.utf8.allSatisfy { $0.isLowerOrDigit || $0 == UInt8(ascii: "-") }
            && !text.hasPrefix("-") && !text.hasSuffix("-")
        guard !isLabel else { return nil }
        let repaired = repairedLabel(text)
        return Fault(
            "must be 1 to 63 lower-case letters, digits and '-', without '-' at either end",
            repaired.isEmpty ? nil : "did you mean \(quoted(repaired))?")
    }

    private static func repairedLabel(_ text: String) -> String {
        let bytes = text.lowercased().utf8.map { $0.isLowerOrDigit ? $0 : UInt8(ascii: "-") }
        let words = bytes.split(separator: UInt8(ascii: "-"))
        return String(decoding: Array(words.joined(separator: [UInt8(ascii: "-")]).prefix(63)), as: UTF8.self)
    }

    /// Any text in one line.
    static let line = TextRule("text", pattern: #"^[^\n\r]+$"#) { text in
        text.isEmpty ? Fault("must not be empty") : oneLine(text)
    }

    /// A Python version without a patch level or with one.
    static let pythonVersion = TextRule(
        "a Python version such as \"3.11\"", pattern: #"^3\.[0-9]{1,2}(\.[0-9]{1,2})?$"#
    ) { text in
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        let areNumbers = parts.allSatisfy { (1...2).contains($0.utf8.count) && $0.utf8.allSatisfy(\.isDigit) }
        guard parts.first == "3", (2...3).contains(parts.count), areNumbers else {
            let digits = text.hasPrefix("py3") ? text.dropFirst(3) : "11"
            return Fault(
                "must be a Python version such as \"3.11\" or \"3.11.7\", not \(quoted(text))",
                "write \"3.\(digits.isEmpty || !digits.utf8.allSatisfy(\.isDigit) ? "11" : digits)\"")
        }
        return nil
    }

    /// A file or folder beside the manifest.
    static let localPath = TextRule("a path", pattern: #"^[^\n\r]+$"#) { text in
        if text.isEmpty { return Fault("must not be empty") }
        if text.hasPrefix("~") { return Fault("must be a path", "'~' is not expanded; write the whole path") }
        if text.contains("://") {
            return Fault("must be a path, not a URL", "download it and give the path")
        }
        return oneLine(text)
    }

    /// Where a model file comes from.
    static let modelSource = TextRule(
        "a path or an https:// URL", pattern: #"^[^\n\r]+$"#, maximumBytes: 4096
    ) { text in
        guard let separator = text.firstRange(of: "://") else { return localPath.check(text) }
        let scheme = text[..<separator.lowerBound]
        let host = text[separator.upperBound...].prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        switch scheme {
        case "https":
            if host.isEmpty { return Fault("must name a host behind 'https://'") }
            if host.contains("@") {
                return Fault("must not carry a user or a password", "manifests are no place for secrets")
            }
            if text.contains(" ") { return Fault("must not contain blanks", "write '%20' for a blank") }
            return oneLine(text)
        case "http":
            return Fault("must be a path or an https:// URL", "plain http can be changed on the way; use https")
        case "file":
            return Fault("must be a path or an https:// URL", "write the path alone, without 'file://'")
        default:
            return Fault(
                "must be a path or an https:// URL; \(quoted("\(scheme)://")) is not supported yet",
                "download it and give the path, or give an https:// URL")
        }
    }

    /// Where a file lands in the app folder.
    static let target = TextRule(
        "a relative path", pattern: #"^(?!/)(?!.*(^|/)\.{0,2}(/|$))[^\\\n\r]+$"#
    ) { text in
        if text.isEmpty { return Fault("must not be empty") }
        if text.hasPrefix("/") { return Fault("must be relative to the app folder", "leave the first '/' out") }
        if text.contains("\\") { return Fault("must be separated with '/'") }
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        if parts.contains("..") { return Fault("must stay in the app folder; '..' is not allowed") }
        if parts.contains("") || parts.contains(".") {
            let clean = parts.filter { !$0.isEmpty && $0 != "." }.joined(separator: "/")
            return Fault("must be a plain path", clean.isEmpty ? nil : "write \(quoted(clean))")
        }
        if parts.contains(where: { $0.utf8.count > 255 }) { return Fault("has a part of more than 255 bytes") }
        return oneLine(text)
    }

    /// A SHA-256 digest.
    static let sha256 = TextRule("a SHA-256 digest", pattern: "^[0-9a-f]{64}$") { text in
        guard text.utf8.count == 64, text.utf8.allSatisfy({ $0.isDigit || (0x61...0x66).contains($0) }) else {
            let lower = text.lowercased()
            let repaired = lower.hasPrefix("sha256:") ? lower.dropFirst("sha256:".count) : lower[...]
            let isClose = repaired != text && repaired.utf8.count == 64
            return Fault(
                "must be 64 lower-case hex digits",
                isClose ? "write the digits alone, in lower case" : "'sha256sum FILE' prints them")
        }
        return nil
    }

    /// The path of a URL on the app.
    static let urlPath = TextRule("a path such as /health", pattern: #"^/[^\s#]*$"#) { urlPathFault($0) }

    /// The path of a URL on the app, or none.
    static let urlPathOrNone = TextRule("a path such as /health, or none", pattern: #"^(none|/[^\s#]*)$"#) { text in
        text == "none" ? nil : urlPathFault(text)
    }

    private static func urlPathFault(_ text: String) -> Fault? {
        if text.contains("://") { return Fault("must be a path on the app, not a URL") }
        if !text.hasPrefix("/") { return Fault("must start with '/'", "write \(quoted("/" + text))") }
        if text.unicodeScalars.contains(where: { $0.properties.isWhitespace || $0 == "#" }) {
            return Fault("must not contain blanks or '#'")
        }
        return text.utf8.allSatisfy { $0 < 0x80 } ? nil : Fault("must be ASCII", "percent-encode it")
    }

    /// Characters that would end a line or change what a reader sees.
    static func oneLine(_ text: String) -> Fault? {
        let bad = text.unicodeScalars.first { $0.isForbidden || $0 == "\n" || $0 == "\r" || $0 == "\t" }
        return bad.map { Fault("must not contain the character \($0.spelled)") }
    }
}

extension UInt8 {
    /// `0` to `9`.
    var isDigit: Bool { (0x30...0x39).contains(self) }
    /// `a` to `z`.
    var isLower: Bool { (0x61...0x7A).contains(self) }
    /// `a` to `z`, `0` to `9`.
    var isLowerOrDigit: Bool { isDigit || isLower }
    /// `a` to `z`, `A` to `Z`, `0` to `9`.
    var isAlphanumeric: Bool { isDigit || (0x61...0x7A).contains(self | 0x20) }
}
