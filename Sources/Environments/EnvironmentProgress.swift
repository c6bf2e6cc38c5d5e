/// What the building of an environment is doing.
public enum EnvironmentProgress: Sendable, Equatable {
    /// Somebody else builds the same one; it will be shared.
    case waiting
    /// Packages are being fetched and linked: `done` of `total` are in place.
    case installing(done: Int, total: Int)
    /// A big package is on its way; `size` as uv says it: `16.1MiB`.
    case downloading(package: String, size: String)
    /// A big package has arrived.
    case downloaded(package: String)
    /// The sources are being compiled, so that a read-only mount starts fast.
    case compiling
    /// The result is being written through to the disk.
    case finishing
    /// Something that does not stop the build.
    case warning(String)
}

extension EnvironmentProgress {
    /// What a line of uv's standard error tells; nil for the others.
    init?(line: String, total: Int) {
        if let match = line.wholeMatch(of: /\s*Downloading (\S+) \((.+)\)/) {
            self = .downloading(package: String(match.1), size: String(match.2))
        } else if let match = line.wholeMatch(of: /\s*Downloaded (\S+)/) {
            self = .downloaded(package: String(match.1))
        } else if let match = line.firstMatch(of: /^Installed (\d+) packages? in/), let done = Int(match.1) {
            self = .installing(done: done, total: max(done, total))
        } else if line.hasPrefix("warning: ") {
            self = .warning(String(line.dropFirst(9)))
        } else {
            return nil
        }
    }
}
