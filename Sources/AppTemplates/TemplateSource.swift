import DeploymentCore
import Stencil

/// One checked template text: every value in it goes through the `python` filter, and every name in it is known.
struct TemplateSource: Sendable {
    /// The path under the templates folder, for messages.
    let path: String
    /// The text.
    let text: String
    /// The variables, each with the line of its first use.
    let variables: [String: Int]

    /// The largest template, in bytes.
    static let maximumBytes = 256 << 10

    /// Checks the text.
    ///
    /// - Throws: `BerthError(.internalError)` with file and line for anything but `{{ name | python }}`,
    ///   `{% if name %}`, `{% if not name %}`, `{% else %}` and `{% endif %}`.
    init(path: String, text: String) throws {
        self.path = path
        self.text = text
        var variables: [String: Int] = [:]
        var open: [Int] = []
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let place = "\(path):\(index + 1)"
            for tag in try Self.tags(in: line, place: place) {
                if let name = try tag.variable(place: place) { variables[name] = variables[name] ?? index + 1 }
                if tag.opens { open.append(index + 1) }
                if tag.closes, open.popLast() == nil {
                    throw BerthError(.internalError, "\(place): endif without an if")
                }
            }
        }
        if let line = open.last { throw BerthError(.internalError, "\(path):\(line): if without an endif") }
        self.variables = variables
    }

    /// Renders the text.
    ///
    /// - Throws: `BerthError(.internalError)` with file and line when a variable is not declared or has no value.
    func render(declared: Set<String>, declaration: String, values: [String: JSONValue]) throws -> String {
        for (name, line) in variables.sorted(by: { $0.value < $1.value }) {
            guard declared.contains(name) else {
                throw BerthError(
                    .internalError, "\(path):\(line): variable '\(name)' is not declared in \(declaration)",
                    suggestion: "add it to the variables of this file in \(declaration)")
            }
            guard values[name] != nil else {
                throw BerthError(.internalError, "\(path):\(line): variable '\(name)' has no value")
            }
        }
        // An `Environment` is not Sendable, and costs nothing to make.
        let filters = Extension()
        filters.registerFilter("python") { try Self.python($0) }
        let environment = Environment(extensions: [filters], trimBehaviour: .smart)
        let context = values.mapValues { value in
            if case .bool(let flag) = value { flag as Any } else { value as Any }
        }
        do {
            return try environment.renderTemplate(string: text, context: context)
        } catch {
            throw BerthError(.internalError, "\(path) cannot be rendered", cause: error)
        }
    }

    private static func python(_ value: Any?) throws -> String {
        let json = (value as? JSONValue) ?? (value as? Bool).map(JSONValue.bool)
        guard let json, let text = PythonLiteral.text(of: json) else {
            throw TemplateSyntaxError("the value has no Python form")
        }
        return text
    }
}

extension TemplateSource {
    /// One `{{ … }}` or `{% … %}`.
    private enum Tag {
        case value(String)
        case block(String)

        var words: [Substring] {
            switch self {
            case .value(let inner), .block(let inner): inner.split(separator: " ")
            }
        }

        var opens: Bool {
            if case .block = self { words.first == "if" } else { false }
        }

        var closes: Bool {
            if case .block = self { words == ["endif"] } else { false }
        }

        /// The variable that the tag reads, if any; throws for tags that templates may not have.
        func variable(place: String) throws -> String? {
            switch self {
            case .value(let inner):
                let parts = words
                guard parts.count == 3, Self.isName(parts[0]), parts[1] == "|", parts[2] == "python" else {
                    throw BerthError(
                        .internalError, "\(place): '{{\(inner)}}' does not end in '| python'",
                        suggestion: "write {{ name | python }}; values enter Python source only as literals")
                }
                return String(parts[0])
            case .block(let inner):
                let parts = words
                if parts == ["else"] || parts == ["endif"] { return nil }
                guard parts.first == "if", let name = parts.last, Self.isName(name),
                    parts.count == 2 || (parts.count == 3 && parts[1] == "not")
                else {
                    throw BerthError(
                        .internalError, "\(place): '{%\(inner)%}' is not a block that templates may have",
                        suggestion: "use if, if not, else and endif with one declared variable")
                }
                return String(name)
            }
        }

        private static func isName(_ word: Substring) -> Bool {
            word.first?.isNumber == false
                && word.allSatisfy { $0 == "_" || ($0.isASCII && ($0.isLetter || $0.isNumber)) }
        }
    }

    private static func tags(in line: Substring, place: String) throws -> [Tag] {
        var tags: [Tag] = []
        var rest = line
        while let brace = rest.firstIndex(of: "{") {
            let start = rest[rest.index(after: brace)...]
            guard let kind = start.first, kind == "{" || kind == "%" || kind == "#" else {
                rest = start
                continue
            }
            let body = start.dropFirst()
            let end = kind == "{" ? "}}" : "%}"
            guard kind != "#", let close = body.firstRange(of: end) else {
                throw BerthError(.internalError, "\(place): '{\(kind)' without '\(end)' on the same line")
            }
            let inner = String(body[..<close.lowerBound])
            tags.append(kind == "{" ? .value(inner) : .block(inner))
            rest = body[close.upperBound...]
        }
        return tags
    }
}
