import Glibc

/// A glob for paths: without `/` it matches any component, with one the whole path; `**` crosses folders.
struct GlobPattern: Sendable {
    private let segments: [String]
    private let isAnchored: Bool

    init(_ text: String) {
        var text = text[...]
        while text.hasSuffix("/") { text = text.dropLast() }
        isAnchored = text.contains("/")
        if text.hasPrefix("./") { text = text.dropFirst(2) }
        segments = text.split(separator: "/").map(String.init)
    }

    /// Whether the relative path, or for patterns without `/` its last component, matches.
    func matches(_ path: String) -> Bool {
        let components = path.split(separator: "/").map(String.init)
        guard isAnchored else {
            guard let pattern = segments.first, let name = components.last else { return false }
            return fnmatch(pattern, name, 0) == 0
        }
        return Self.matches(segments[...], components[...])
    }

    /// Dynamic programming over both sides, so that many `**` cost no exponential time.
    private static func matches(_ pattern: ArraySlice<String>, _ path: ArraySlice<String>) -> Bool {
        var reachable = [Bool](repeating: false, count: path.count + 1)
        reachable[0] = true
        for segment in pattern {
            var next = [Bool](repeating: false, count: path.count + 1)
            for (index, component) in path.enumerated() {
                if segment == "**" {
                    next[index] = next[index] || reachable[index]
                    if next[index] { next[index + 1] = true }
                } else if reachable[index], fnmatch(segment, component, 0) == 0 {
                    next[index + 1] = true
                }
            }
            if segment == "**", reachable[path.count] { next[path.count] = true }
            reachable = next
        }
        return reachable[path.count]
    }
}
