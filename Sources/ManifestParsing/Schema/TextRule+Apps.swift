extension TextRule {
    /// `app.py`, or `package.module:attribute`.
    static let app = TextRule(
        "an app file such as app.py, or package.module:attribute",
        pattern: #"^([A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*|[^\\:\n\r/][^\\:\n\r]*\.py)$"#
    ) { text in
        if text.hasSuffix(".py") { return target.check(text) }
        let halves = text.split(separator: ":", omittingEmptySubsequences: false)
        if halves.count == 2 {
            if halves[0].hasSuffix(".py") {
                let module = halves[0].dropLast(3).split(separator: "/").joined(separator: ".")
                return Fault("must be a file or package.module:attribute", "write \(quoted("\(module):\(halves[1])"))")
            }
            let names = halves[0].split(separator: ".", omittingEmptySubsequences: false)
            if (names + [halves[1]]).allSatisfy(isIdentifier) { return nil }
        }
        return Fault(
            "must be an app file such as app.py, or package.module:attribute, not \(quoted(text))",
            isIdentifier(text[...]) ? "write \(quoted("\(text).py")) or \(quoted("\(text):app"))" : nil)
    }

    /// One argument of a command.
    static let argument = TextRule("text", maximumBytes: 4096) { text in
        text.utf8.contains(0) ? Fault("must not contain the character U+0000") : nil
    }

    /// The value of an environment variable.
    static let environmentValue = TextRule("text", maximumBytes: 32_768) { text in
        text.utf8.contains(0) ? Fault("must not contain the character U+0000") : nil
    }

    /// The name of an environment variable that is not ours.
    static let environmentName = TextRule(
        "a variable's name", pattern: "^(?!PORT$|BERTH_)[A-Za-z_][A-Za-z0-9_]*$", maximumBytes: 256
    ) { text in
        if text == "PORT" { return Fault("is set by berth", "give the port as 'server.port'") }
        if text.hasPrefix("BERTH_") { return Fault("is set by berth; names with 'BERTH_' are kept for it") }
        let isName = text.utf8.allSatisfy { $0.isAlphanumeric || $0 == UInt8(ascii: "_") }
        guard isName, let first = text.utf8.first, !first.isDigit else {
            return Fault("must be letters, digits and '_', and not start with a digit")
        }
        return nil
    }

    /// The name of a header that the HTTP client does not set itself (RFC 9110, section 5.1).
    static let headerName = TextRule(
        "a header's name", pattern: "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$", maximumBytes: 128
    ) { text in
        let marks = Set("!#$%&'*+-.^_`|~".utf8)
        guard !text.isEmpty, text.utf8.allSatisfy({ $0.isAlphanumeric || marks.contains($0) }) else {
            return Fault("must be the name of an HTTP header")
        }
        let own = ["host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer"]
        return own.contains(text.lowercased()) ? Fault("is set by the HTTP client and cannot be given") : nil
    }

    /// The value of a header.
    static let headerValue = TextRule("text", pattern: #"^[^\n\r]*$"#, maximumBytes: 8192) { oneLine($0) }

    /// One requirement (PEP 508), checked lightly; the resolver knows the rest.
    static let requirement = TextRule(
        "a requirement such as numpy==2.1.0", pattern: #"^[A-Za-z0-9][^\n\r]*$"#
    ) { text in
        let line = text.trimmed
        if line.isEmpty { return Fault("must not be empty") }
        if line.hasPrefix("-r") || line.hasPrefix("--requirement") {
            return Fault(
                "must be a requirement, not an option", "give the file itself: 'requirements: requirements.txt'")
        }
        if line.hasPrefix("-") {
            return Fault(
                "must be a requirement, not an option",
                "put options into a file and give it as 'requirements: requirements.txt'")
        }
        if line.hasPrefix("#") { return Fault("must be a requirement, not a comment") }
        if let fault = oneLine(text) { return fault }
        guard let first = line.utf8.first, first.isAlphanumeric else {
            return Fault("must start with the name of a package")
        }
        return text == line ? nil : Fault("must not start or end with blanks", "write \(quoted(line))")
    }

    /// A file of requirements beside the manifest.
    static let requirementsFile = TextRule("a requirements file", pattern: #"^[^\n\r]+$"#) { text in
        let looksLikeFile = text.hasSuffix(".txt") || text.hasSuffix(".toml") || text.hasSuffix(".lock")
        if !looksLikeFile, text.contains(where: { "=<>~;[ ".contains($0) }) || !text.contains(".") {
            return Fault("must be a file or a list", "write a list: [\(text.prefix(60))]")
        }
        return localPath.check(text)
    }

    /// A glob pattern under the source folder.
    static let pattern = TextRule("a pattern such as '*.log'", pattern: #"^[^\n\r]+$"#) { text in
        if text.isEmpty { return Fault("must not be empty") }
        if text.hasPrefix("/") || text.split(separator: "/").contains("..") {
            return Fault("must be relative to 'server.source'")
        }
        return oneLine(text)
    }

    /// A place in a JSON answer.
    static let answerPath = TextRule("a key or a path such as $.items[0].label", pattern: "^.+$") { text in
        if text.isEmpty { return Fault("must not be empty") }
        guard text.hasPrefix("$") else { return nil }
        return AnswerPath.parse(text) == nil
            ? Fault("must be a path such as $.items[0].label or $[\"a key\"]") : nil
    }

    /// The name of a form field.
    static let fieldName = TextRule("the name of a field", pattern: #"^[^\n\r"]+$"#, maximumBytes: 256) { text in
        if text.isEmpty { return Fault("must not be empty") }
        return text.contains("\"") ? Fault("must not contain '\"'") : oneLine(text)
    }

    /// The value of a form field.
    static let fieldValue = TextRule("text, or '@' and a path", maximumBytes: 65_536) { text in
        text == "@" ? Fault("must name a file behind '@'") : nil
    }

    private static func isIdentifier(_ text: Substring) -> Bool {
        guard let first = text.utf8.first, !first.isDigit else { return false }
        return text.utf8.allSatisfy { $0.isAlphanumeric || $0 == UInt8(ascii: "_") }
    }
}

extension String {
    /// The text without blanks at its ends.
    var trimmed: String {
        let isBlank: (Character) -> Bool = { $0 == " " || $0 == "\t" || $0 == "\n" || $0 == "\r" }
        let front = drop(while: isBlank)
        guard let last = front.lastIndex(where: { !isBlank($0) }) else { return "" }
        return String(front[...last])
    }
}
