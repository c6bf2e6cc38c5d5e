import DeploymentCore

/// Everything that is wrong with a manifest, in the order of the file.
public struct ManifestErrors: Error, Sendable, Equatable, CustomStringConvertible {
    /// At least one error; warnings are among them.
    public let diagnostics: [Diagnostic]

    /// All diagnostics one below the other, without a last newline; `color` adds ANSI colours.
    public func rendered(color: Bool) -> String {
        diagnostics.map { $0.rendered(color: color) }.joined(separator: "\n")
    }

    /// The diagnostics without colours.
    public var description: String { rendered(color: false) }

    /// The same as the error that crosses module borders: the first message, and how many more there are.
    public var berthError: BerthError {
        let errors = diagnostics.filter { $0.severity == .error }
        guard let first = errors.first else { return BerthError(.invalidManifest, "the manifest is not valid") }
        let place = first.line > 0 ? "\(first.file):\(first.line):\(first.column)" : first.file
        let more = errors.count > 1 ? " (and \(errors.count - 1) more)" : ""
        return BerthError(
            .invalidManifest, "\(place): \(first.message)\(more)", suggestion: first.suggestion, cause: self)
    }
}
