/// What of an agent's paths is for its own host only (protocol note 2.4).
enum AgentPath {
    /// The first parts of paths that nobody reaches from outside.
    static let internalParts: Set<String> = [
        "init", "freeze", "unfreeze", "collapse", "fsfreeze", "fsthaw", "upgrade", "berth",
    ]

    /// How often a path may be encoded over itself.
    private static let maximumDecodings = 4

    /// Whether a path leads to one of them, however it is written.
    ///
    /// The agent takes paths literally. Whatever another one might take for such a path, by decoding it, folding its
    /// case, or taking dots and empty parts out of it, is one here too.
    static func isInternal(_ path: Substring) -> Bool {
        var text = String(path)
        for _ in 0..<maximumDecodings where text.contains("%") {
            guard let decoded = RequestTarget.decode(text) else { return true }
            text = decoded
        }
        guard !text.contains("%") else { return true }
        var parts: [Substring] = []
        for part in text.split(whereSeparator: { $0 == "/" || $0 == "\\" }) {
            switch part {
            case ".": continue
            case "..": _ = parts.popLast()
            default: parts.append(part)
            }
        }
        guard let first = parts.first else { return false }
        let name = first.prefix { $0 != ";" && $0 != "?" && $0 != "#" && $0 != "\0" }
        return internalParts.contains(name.lowercased())
    }
}
