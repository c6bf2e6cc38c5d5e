import DeploymentCore

extension TemplateCatalog {
    /// How the app of a manifest is started, once its rendered and its own files are in the app folder.
    ///
    /// An own app is started by a small launcher that imports it, tells ASGI from WSGI, and serves it with what is
    /// installed; a command is started as it is. `files` are the paths in the app folder, to tell a misspelt file name
    /// before a sandbox is made; empty when unknown.
    ///
    /// - Throws: `BerthError(.invalidManifest)` for an own app's file that is not there.
    public func start(for manifest: Manifest, files: [String] = []) throws -> AppStart {
        switch manifest.server.app {
        case .template:
            return AppStart(command: ["python", "launch.py"])
        case .own(let target):
            try OwnApp(target: target).check(among: files, workingDirectory: manifest.server.workingDirectory)
            return AppStart(command: ["python", "berth_launch.py"])
        case .command(let command):
            return AppStart(command: command, workingDirectory: manifest.server.workingDirectory)
        }
    }

    /// What the launcher of an own app may use, by name.
    static func values(ofOwn target: String, in manifest: Manifest) throws -> [String: JSONValue] {
        let app = try OwnApp(target: target)
        return [
            "target": .string(app.module),
            "attribute": app.attribute.map(JSONValue.string) ?? .null,
            "working_directory": manifest.server.workingDirectory.map(JSONValue.string) ?? .null,
            "port": .integer(Int64(manifest.server.port)),
        ]
    }
}

/// `app.py`, `app.py:create_app`, `api.main` or `api.main:app`, taken apart.
struct OwnApp: Equatable {
    /// A file path ending in `.py`, or a dotted module name.
    let module: String
    /// The name of the app or of a function that makes it; nil to find it.
    let attribute: String?

    /// Whether the module is named by its file.
    var isFile: Bool { module.hasSuffix(".py") }

    /// Takes the text apart.
    ///
    /// - Throws: `BerthError(.invalidManifest)` for what is neither a file nor a module.
    init(target: String) throws {
        let parts = target.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        module = parts[0]
        let name = parts.count > 1 ? parts[1] : nil
        attribute = name.map { $0.hasSuffix("()") ? String($0.dropLast(2)) : $0 }
        let isPath = isFile && !module.hasPrefix("/") && !module.split(separator: "/").contains("..")
        guard isPath || Self.isDotted(module), attribute.map(Self.isDotted) ?? true else {
            throw BerthError(
                .invalidManifest, "'\(target)' is neither a Python file nor 'package.module:attribute'",
                suggestion: "write 'app.py' or 'api.main:app'")
        }
    }

    /// Fails for a named file that is not among `files`; modules may also be installed, so they are not checked.
    func check(among files: [String], workingDirectory: String?) throws {
        guard isFile, !files.isEmpty else { return }
        let base = module.hasPrefix("./") ? String(module.dropFirst(2)) : module
        let inside = workingDirectory.map { "\($0)/\(base)" } ?? base
        if files.contains(base) || files.contains(inside) { return }
        let near = nearest(to: base, among: files.filter { $0.hasSuffix(".py") })
        throw BerthError(
            .invalidManifest, "the app file '\(module)' is not in the app folder",
            suggestion: near.map { "did you mean '\($0)'?" } ?? "check server.source and server.app")
    }

    private static func isDotted(_ text: String) -> Bool {
        let names = text.split(separator: ".", omittingEmptySubsequences: false)
        return names.allSatisfy { name in
            name.first.map { $0 == "_" || $0.isLetter } ?? false
                && name.allSatisfy { $0 == "_" || $0.isLetter || $0.isNumber }
        }
    }
}
