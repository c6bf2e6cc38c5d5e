/// Where a node or a problem comes from.
struct Place: Sendable, Equatable {
    /// The file, a flag or an environment variable.
    var origin: Origin
    /// The line, counted from 1; 0 outside the file.
    var line: Int
    /// The column in Unicode scalars, counted from 1; 0 outside the file.
    var column: Int

    /// A place in the file.
    init(line: Int, column: Int) {
        origin = .file
        self.line = line
        self.column = column
    }

    /// A flag or a variable as a whole.
    init(_ origin: Origin) {
        self.origin = origin
        line = 0
        column = 0
    }

    /// What kind of text a place lies in.
    enum Origin: Sendable, Equatable {
        case file
        /// A `--set` flag with its path.
        case flag(String)
        /// An environment variable.
        case variable(String)
    }
}
