/// What one parse has found so far.
final class Findings {
    /// The most diagnostics that one parse reports.
    static let maximumCount = 100

    private(set) var findings: [Finding] = []
    /// Whether whatever comes now is not shown any more.
    private(set) var isFull = false

    /// One finding, not yet bound to the text of its line.
    struct Finding {
        var place: Place
        var message: String
        var suggestion: String?
        var severity: Diagnostic.Severity
    }

    /// Whether there is an error among the findings.
    var hasErrors: Bool { findings.contains { $0.severity == .error } }

    /// Notes an error.
    func error(_ message: String, at place: Place, suggestion: String? = nil) {
        add(Finding(place: place, message: message, suggestion: suggestion, severity: .error))
    }

    /// Notes a warning.
    func warning(_ message: String, at place: Place, suggestion: String? = nil) {
        add(Finding(place: place, message: message, suggestion: suggestion, severity: .warning))
    }

    private func add(_ finding: Finding) {
        guard !isFull else { return }
        if findings.count < Self.maximumCount {
            findings.append(finding)
        } else {
            isFull = true
        }
    }

    /// The findings as diagnostics: the file's in its order, then those of flags and variables.
    func diagnostics(file: String, source: SourceText) -> [Diagnostic] {
        let lines = findings.isEmpty ? [] : source.lineRanges()
        let ordered = findings.enumerated().sorted { left, right in
            let (a, b) = (left.element.place, right.element.place)
            return (a.rank, a.line, a.column, left.offset) < (b.rank, b.line, b.column, right.offset)
        }
        let diagnostics = ordered.map { diagnostic($0.element, file: file, source: source, lines: lines) }
        guard isFull else { return diagnostics }
        return diagnostics + [
            Diagnostic(file: file, message: "more than \(Self.maximumCount) problems; the rest is not shown")
        ]
    }

    private func diagnostic(
        _ finding: Finding, file: String, source: SourceText, lines: [Range<Int>]
    ) -> Diagnostic {
        let place = finding.place
        switch place.origin {
        case .flag(let path):
            return Diagnostic(
                file: "--set \(path)", message: finding.message, suggestion: finding.suggestion,
                severity: finding.severity)
        case .variable(let name):
            return Diagnostic(
                file: name, message: finding.message, suggestion: finding.suggestion, severity: finding.severity)
        case .file:
            let shown =
                lines.indices.contains(place.line - 1)
                ? source.shown(lines[place.line - 1], column: place.column) : nil
            return Diagnostic(
                file: file, line: place.line, column: place.column, message: finding.message,
                suggestion: finding.suggestion, sourceLine: shown?.line, caretColumn: shown?.caret,
                severity: finding.severity)
        }
    }
}

extension Place {
    /// The file's places come before all others.
    fileprivate var rank: Int { origin == .file ? 0 : 1 }
}

extension Findings {
    /// Notes what libyaml said, in words that point to the cause.
    func add(_ problem: SyntaxProblem, in source: SourceText) {
        let place = problem.place ?? source.place(atByte: problem.offset)
        guard let opened = problem.contextPlace, let context = problem.context else {
            return error(problem.message, at: place, suggestion: Self.suggestion(problem, at: place, in: source))
        }
        if source.isEnd(place), opened != place {
            // The end of the file says nothing; where the open thing began does.
            return error(
                "the manifest ends \(context) opened here", at: opened,
                suggestion: Self.ending(of: context).map { "close it with \($0)" })
        }
        let since = opened == place ? "" : " opened at \(opened.line):\(opened.column)"
        error(
            "\(problem.message) \(context)\(since)", at: place,
            suggestion: Self.suggestion(problem, at: place, in: source))
    }

    private static func ending(of context: String) -> String? {
        if context.contains("quoted scalar") { return "the same quote" }
        if context.contains("flow sequence") { return "']'" }
        if context.contains("flow mapping") { return "'}'" }
        return nil
    }

    private static func suggestion(_ problem: SyntaxProblem, at place: Place, in source: SourceText) -> String? {
        let character = source.character(at: place)
        if character == "\t" || problem.message.contains("tab") {
            return "indent with spaces; YAML does not allow tabs"
        }
        if problem.context?.contains("scanning an alias") == true {
            return "put the text in quotes; plain text cannot start with '*'"
        }
        if problem.message.contains("cannot start any token"), let character {
            return "put the text in quotes; plain text cannot start with \(quoted(String(character)))"
        }
        if problem.message.contains("mapping values are not allowed") {
            return "put the text in quotes if ': ' is part of it, or check the indentation"
        }
        if problem.message.contains("did not find expected") || problem.message.contains("could not find expected") {
            return "check the indentation, the quotes and the brackets up to here"
        }
        return nil
    }
}
