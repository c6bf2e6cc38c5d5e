/// A file made for one deployment, to be written into its app folder.
public struct RenderedFile: Sendable, Equatable {
    /// The path relative to the app folder.
    public let path: String
    /// The whole text, in UTF-8.
    public let contents: String

    /// Creates a file.
    public init(path: String, contents: String) {
        self.path = path
        self.contents = contents
    }
}

/// How an app is started: what to run, and where.
public struct AppStart: Sendable, Equatable {
    /// The program and its arguments; `python` is the environment's interpreter, found by `PATH`.
    public let command: [String]
    /// Where it runs, relative to the app folder; nil is the app folder itself.
    public let workingDirectory: String?

    /// Creates a start.
    public init(command: [String], workingDirectory: String? = nil) {
        self.command = command
        self.workingDirectory = workingDirectory
    }
}
