/// One thing to say about a manifest, with its place.
public struct Diagnostic: Sendable, Equatable, Codable {
    /// How bad it is.
    public enum Severity: String, Sendable, Codable {
        /// The manifest cannot be used.
        case error
        /// The manifest works, but likely not as meant.
        case warning
    }

    /// The file as the caller named it, or the flag (`--set health.timeout`) or variable (`BERTH_MODEL_PORT`) at fault.
    public var file: String
    /// The line, counted from 1; 0 when there is none.
    public var line: Int
    /// The column in Unicode scalars, counted from 1; 0 when there is none.
    public var column: Int
    /// What is wrong, in lower case, naming the key.
    public var message: String
    /// The way out.
    public var suggestion: String?
    /// The line of the manifest, or the part of a long line around the column; control characters are replaced.
    public var sourceLine: String?
    /// Where the caret stands in `sourceLine`, counted from 1; other than `column` only for long lines.
    public var caretColumn: Int
    /// How bad it is.
    public var severity: Severity

    /// Creates a diagnostic.
    public init(
        file: String, line: Int = 0, column: Int = 0, message: String, suggestion: String? = nil,
        sourceLine: String? = nil, caretColumn: Int? = nil, severity: Severity = .error
    ) {
        self.file = file
        self.line = line
        self.column = column
        self.message = message
        self.suggestion = suggestion
        self.sourceLine = sourceLine
        self.caretColumn = caretColumn ?? column
        self.severity = severity
    }

    /// `file:line:column: message`, the source line, a caret under the column, the suggestion; without a last newline.
    public func rendered(color: Bool = false) -> String {
        let paint = Paint(isOn: color)
        let place = line > 0 ? "\(file):\(line):\(column): " : "\(file): "
        let mark = severity == .warning ? paint.yellow("warning: ") : ""
        var lines = [paint.bold(place) + mark + paint.bold(message)]
        if let sourceLine, !sourceLine.isEmpty {
            let caret = severity == .warning ? paint.yellow("^") : paint.red("^")
            lines += ["  " + sourceLine, "  " + padding(in: sourceLine) + caret]
        }
        if let suggestion { lines.append("  " + paint.green(suggestion)) }
        return lines.joined(separator: "\n")
    }

    /// Blanks as wide as the text before the caret; tabs stay tabs, so that any tab width fits.
    private func padding(in line: String) -> String {
        var padding = ""
        for scalar in line.unicodeScalars.prefix(max(caretColumn - 1, 0)) {
            padding += scalar == "\t" ? "\t" : String(repeating: " ", count: scalar.terminalWidth)
        }
        return padding
    }
}

/// ANSI colours, or none.
private struct Paint {
    let isOn: Bool

    func bold(_ text: String) -> String { paint(text, "1") }
    func red(_ text: String) -> String { paint(text, "1;31") }
    func green(_ text: String) -> String { paint(text, "32") }
    func yellow(_ text: String) -> String { paint(text, "1;33") }

    private func paint(_ text: String, _ code: String) -> String { isOn ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text }
}
