import DeploymentCore

/// The one setting of `[tool.uv]` that changes what is resolved and can lead to no code: `override-dependencies`.
///
/// uv itself runs outside the project, where it reads none of its settings, so this one is read here: an array of plain
/// strings, each a requirement that replaces what packages ask for.
enum ProjectOverrides {
    /// The most overrides of a project.
    static let limit = 200

    /// The overrides of a `pyproject.toml`, as requirement lines.
    ///
    /// - Throws: `dependencies` when the array is not made of plain strings, or one of them is no requirement.
    static func read(_ text: String) throws(BerthError) -> [String] {
        var lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)[...]
        guard
            let section = lines.firstIndex(where: { $0.wholeMatch(of: /\s*\[\s*tool\s*\.\s*uv\s*\]\s*(#.*)?/) != nil })
        else { return [] }
        lines = lines[(section + 1)...]
        lines =
            lines[..<(lines.firstIndex { $0.firstMatch(of: /^\s*\[/) != nil && $0.contains("]") } ?? lines.endIndex)]
        guard let start = lines.firstIndex(where: { $0.firstMatch(of: /^\s*override-dependencies\s*=\s*\[/) != nil })
        else { return [] }
        let array = lines[start...].joined(separator: "\n").drop { $0 != "[" }.dropFirst()
        return try strings(array).map { text throws(BerthError) in try RequirementsText.requirement(text).line }
    }

    /// The strings of a TOML array up to its `]`, with comments between them.
    private static func strings(_ array: Substring) throws(BerthError) -> [String] {
        var rest = array
        var found: [String] = []
        while let character = rest.first {
            rest = rest.dropFirst()
            switch character {
            case "]": return found
            case "#": rest = rest.drop { !$0.isNewline }
            case ",": continue
            case "\"", "'":
                let string = rest.prefix { $0 != character && !$0.isNewline && $0 != "\\" }
                rest = rest.dropFirst(string.count)
                guard rest.first == character, !string.isEmpty, found.count < limit else { throw unreadable }
                rest = rest.dropFirst()
                found.append(String(string))
            default: guard character.isWhitespace else { throw unreadable }
            }
        }
        throw unreadable
    }

    private static let unreadable = BerthError(
        .dependencies, "tool.uv.override-dependencies of pyproject.toml is not an array of plain strings",
        suggestion: "write each requirement in quotes, without escapes")
}
