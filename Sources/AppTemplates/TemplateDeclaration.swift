import DeploymentCore

/// What a `template.json` says: the files of one template, their variables, and what must be installed for them.
struct TemplateDeclaration: Sendable {
    /// The path of the `template.json` under the templates folder, for messages.
    let path: String
    /// One line about the template.
    let summary: String
    /// The suffixes of model files that the template loads, each with its dot; empty for none.
    let modelSuffixes: [String]
    /// Whether predictions may be coroutines.
    let isAsynchronous: Bool
    /// Requirement lines (PEP 508).
    let requirements: [String]
    /// The files that are rendered.
    let files: [File]

    /// One file to render.
    struct File: Sendable {
        /// Where it lands in the app folder.
        let path: String
        /// The template's path under the templates folder.
        let template: String
        /// The variables that the template may use.
        let variables: Set<String>
    }

    /// Reads a declaration.
    ///
    /// - Throws: `BerthError(.internalError)` naming the file for anything but the keys above.
    init(path: String, text: String) throws {
        self.path = path
        let root: JSONValue
        do {
            root = try JSONValue(parsing: text)
        } catch {
            let line = text.utf8.prefix(error.offset).count { $0 == UInt8(ascii: "\n") } + 1
            throw BerthError(.internalError, "\(path):\(line): not JSON", cause: error)
        }
        let known: Set = ["summary", "model_suffixes", "asynchronous", "requirements", "files"]
        if let unknown = root.object?.keys.filter({ !known.contains($0) }).min() {
            throw BerthError(.internalError, "\(path): unknown key '\(unknown)'")
        }
        guard let summary = root["summary"]?.string else { throw Self.missing("summary", path) }
        guard let files = root["files"]?.array, !files.isEmpty else { throw Self.missing("files", path) }
        self.summary = summary
        isAsynchronous = root["asynchronous"]?.bool ?? false
        modelSuffixes = try Self.strings(root, "model_suffixes", path)
        requirements = try Self.strings(root, "requirements", path)
        self.files = try files.map { file in
            guard let target = file["path"]?.string else { throw Self.missing("files.path", path) }
            guard let template = file["template"]?.string else { throw Self.missing("files.template", path) }
            return File(path: target, template: template, variables: Set(try Self.strings(file, "variables", path)))
        }
    }

    private static func strings(_ object: JSONValue, _ key: String, _ path: String) throws -> [String] {
        guard let value = object[key] else { return [] }
        guard let strings = value.array?.compactMap(\.string), strings.count == value.array?.count else {
            throw BerthError(.internalError, "\(path): '\(key)' is not a list of strings")
        }
        return strings
    }

    private static func missing(_ key: String, _ path: String) -> BerthError {
        BerthError(.internalError, "\(path): '\(key)' is missing")
    }
}
