import DeploymentCore

/// Paths into a JSON answer: `$.items[0].label`, `$["a key"]`; the subset of RFC 9535 that names one place.
enum AnswerPath {
    /// The deepest path.
    static let maximumLength = 32

    /// The steps of a path that starts with `$`, or the one key that any other text is; nil when it is no path.
    static func parse(_ text: String) -> [SmokeTest.PathElement]? {
        guard text.hasPrefix("$") else { return [.key(text)] }
        var rest = text.dropFirst()
        var steps: [SmokeTest.PathElement] = []
        while let first = rest.first {
            rest = rest.dropFirst()
            guard let step = first == "." ? name(&rest) : first == "[" ? bracket(&rest) : nil else { return nil }
            steps.append(step)
            guard steps.count <= maximumLength else { return nil }
        }
        return steps
    }

    private static func name(_ rest: inout Substring) -> SmokeTest.PathElement? {
        let name = rest.prefix { $0 != "." && $0 != "[" && $0 != "]" && $0 != "\"" && $0 != "'" }
        rest = rest[name.endIndex...]
        return name.isEmpty || name == "*" ? nil : .key(String(name))
    }

    private static func bracket(_ rest: inout Substring) -> SmokeTest.PathElement? {
        guard let quote = rest.first, quote == "\"" || quote == "'" else {
            let digits = rest.prefix { $0 != "]" }
            rest = rest[digits.endIndex...]
            guard rest.popFirst() == "]", digits.utf8.count <= 9, digits.utf8.allSatisfy(\.isDigit) else { return nil }
            guard let index = Int(digits) else { return nil }
            return .index(index)
        }
        rest = rest.dropFirst()
        let key = rest.prefix { $0 != quote }
        rest = rest[key.endIndex...].dropFirst()
        guard rest.popFirst() == "]" else { return nil }
        return .key(String(key))
    }
}
