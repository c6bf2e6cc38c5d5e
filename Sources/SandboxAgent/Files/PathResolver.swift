import E2BProtocol

/// Makes absolute paths of those in requests.
struct PathResolver {
    /// The longest path, in bytes.
    static let lengthLimit = 4095
    let options: AgentOptions

    /// Empty is the default working directory, `~` the home folder, and relative paths begin there.
    ///
    /// - Throws: `invalid_argument` for zero bytes, other users' homes and paths that are too long.
    func resolve(_ path: String) throws(ConnectError) -> String {
        guard !path.utf8.contains(0) else { throw ConnectError(.invalidArgument, "the path has a zero byte") }
        guard path.utf8.count <= Self.lengthLimit else { throw ConnectError(.invalidArgument, "the path is too long") }
        if path.isEmpty { return Self.clean(options.workingDirectory) }
        if path.hasPrefix("/") { return Self.clean(path) }
        guard path.hasPrefix("~") else { return Self.clean("\(options.home)/\(path)") }
        guard path == "~" || path.hasPrefix("~/") else {
            throw ConnectError(.invalidArgument, "homes of other users are not known: '\(path)'")
        }
        return Self.clean(options.home + path.dropFirst())
    }

    /// Without empty, `.` and `..` components, by text only, as Go's `filepath.Clean` does.
    static func clean(_ path: String) -> String {
        var components: [Substring] = []
        for component in path.split(separator: "/") {
            switch component {
            case ".": continue
            case "..": _ = components.popLast()
            default: components.append(component)
            }
        }
        return "/" + components.joined(separator: "/")
    }

    /// The last component of a clean path.
    static func name(_ path: String) -> String { path.split(separator: "/").last.map(String.init) ?? "/" }

    /// The folder of a clean path.
    static func folder(_ path: String) -> String {
        "/" + path.split(separator: "/").dropLast().joined(separator: "/")
    }
}
