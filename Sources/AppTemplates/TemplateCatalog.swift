import DeploymentCore
import Foundation

/// The app templates of one folder, read and checked once.
///
/// The layout is `<framework>/<name>/template.json`, which names the template texts, and `own/template.json` for what
/// starts an app of the user's own.
public struct TemplateCatalog: Sendable {
    private let declarations: [Key: TemplateDeclaration]
    private let own: TemplateDeclaration
    private let sources: [String: TemplateSource]
    /// The Python program of a standby: a process that imports ahead and then becomes an app.
    public let standbyProgram: [UInt8]

    /// The most templates that one framework may have.
    public static let maximumTemplates = 256

    private struct Key: Hashable {
        let framework: Manifest.Server.Framework
        let name: String
    }

    /// Reads and checks every template under `folder`.
    ///
    /// - Throws: `BerthError(.internalError)` with file and line for a template that cannot be read, has a value
    ///   outside the `python` filter, or uses a variable that its `template.json` does not declare.
    public init(folder: String) throws {
        let root = URL(filePath: folder, directoryHint: .isDirectory)
        var declarations: [Key: TemplateDeclaration] = [:]
        for framework in Manifest.Server.Framework.allCases {
            for name in try Self.folders(in: root, framework.rawValue) {
                let path = "\(framework.rawValue)/\(name)/template.json"
                declarations[Key(framework: framework, name: name)] = try TemplateDeclaration(
                    path: path, text: Self.read(path, in: root))
            }
        }
        own = try TemplateDeclaration(path: "own/template.json", text: Self.read("own/template.json", in: root))
        var sources: [String: TemplateSource] = [:]
        for declaration in declarations.values + [own] {
            for file in declaration.files {
                let source =
                    try sources[file.template]
                    ?? TemplateSource(
                        path: file.template, text: Self.read(file.template, in: root))
                sources[file.template] = source
                if let (name, line) = source.variables.filter({ !file.variables.contains($0.key) })
                    .min(by: { $0.value < $1.value })
                {
                    throw BerthError(
                        .internalError,
                        "\(file.template):\(line): variable '\(name)' is not declared in \(declaration.path)",
                        suggestion: "add it to the variables of \(file.path) there")
                }
            }
        }
        standbyProgram = Array(try Self.read("standby/standby.py", in: root).utf8)
        self.declarations = declarations
        self.sources = sources
    }

    /// Every template, sorted by framework and name.
    public var names: [(framework: Manifest.Server.Framework, name: String)] {
        declarations.keys.map { ($0.framework, $0.name) }
            .sorted { ($0.0.rawValue, $0.1) < ($1.0.rawValue, $1.1) }
    }

    /// One line about a template; nil when there is none of that name.
    public func summary(of name: String, framework: Manifest.Server.Framework) -> String? {
        declarations[Key(framework: framework, name: name)]?.summary
    }

    /// What has to be installed beside the user's own requirements, as requirement lines with version ranges.
    ///
    /// A template's libraries and its server; for an own app the small servers that can start either kind of app, without
    /// versions, so that the user's own pins hold; nothing for a command.
    ///
    /// - Throws: `BerthError(.invalidManifest)` for an unknown template.
    public func requirements(for server: Manifest.Server) throws -> [String] {
        switch server.app {
        case .template(let name): try declaration(name, server.framework).requirements
        case .own: own.requirements
        case .command: []
        }
    }

    /// Renders the app of a manifest; an own app needs only its launcher, a command nothing.
    ///
    /// - Throws: `BerthError(.invalidManifest)` for an unknown template, for model files that it cannot load or that
    ///   would overwrite a rendered file, and for paths that rendered apps do not have.
    public func render(_ manifest: Manifest) throws -> [RenderedFile] {
        switch manifest.server.app {
        case .template(let name):
            let declaration = try declaration(name, manifest.server.framework)
            return try render(declaration, values: Self.values(of: manifest, for: declaration, named: name))
        case .own(let target):
            return try render(own, values: Self.values(ofOwn: target, in: manifest))
        case .command:
            return []
        }
    }

    /// What `/info` and every answer report as the model's type.
    public static func modelType(of manifest: Manifest) -> String {
        if let type = manifest.model.type { return type }
        if case .template(let name) = manifest.server.app { return name }
        return "custom"
    }

    private func render(_ declaration: TemplateDeclaration, values: [String: JSONValue]) throws -> [RenderedFile] {
        try declaration.files.map { file in
            guard let source = sources[file.template] else {
                throw BerthError(.internalError, "\(declaration.path): \(file.template) was not read")
            }
            let contents = try source.render(
                declared: file.variables, declaration: declaration.path, values: values)
            return RenderedFile(path: file.path, contents: contents)
        }
    }

    private func declaration(_ name: String, _ framework: Manifest.Server.Framework) throws -> TemplateDeclaration {
        if let found = declarations[Key(framework: framework, name: name)] { return found }
        let existing = names.filter { $0.framework == framework }.map(\.name)
        let list = existing.joined(separator: ", ")
        let nearest = nearest(to: name, among: existing).map { "did you mean '\($0)'? " } ?? ""
        throw BerthError(
            .invalidManifest, "there is no \(framework.rawValue) template '\(name)'",
            suggestion: "\(nearest)the templates are \(list)")
    }
}

extension TemplateCatalog {
    private static func read(_ path: String, in root: URL) throws -> String {
        let data: Data
        do {
            data = try Data(contentsOf: root.appending(path: path))
        } catch {
            throw BerthError(.internalError, "template file \(path) cannot be read", cause: error)
        }
        guard data.count <= TemplateSource.maximumBytes else {
            throw BerthError(.tooLarge, "template file \(path) is larger than \(TemplateSource.maximumBytes) bytes")
        }
        guard let text = String(validating: data, as: UTF8.self) else {
            throw BerthError(.internalError, "template file \(path) is not UTF-8")
        }
        return text
    }

    private static func folders(in root: URL, _ name: String) throws -> [String] {
        let folder = root.appending(path: name)
        let entries: [String]
        do {
            entries = try FileManager.default.contentsOfDirectory(atPath: folder.path(percentEncoded: false))
        } catch {
            throw BerthError(
                .internalError, "templates folder \(folder.path(percentEncoded: false)) cannot be read", cause: error)
        }
        let folders = entries.sorted().filter { entry in
            let declaration = folder.appending(path: entry).appending(path: "template.json")
            return FileManager.default.fileExists(atPath: declaration.path(percentEncoded: false))
        }
        guard folders.count <= maximumTemplates else {
            throw BerthError(.tooLarge, "more than \(maximumTemplates) templates in \(name)")
        }
        return folders
    }
}
