import DeploymentCore

extension TemplateCatalog {
    /// The largest golden request that is written into an app, in bytes; a larger one is not.
    public static let maximumGoldenBytes = 64 << 10

    /// What a template may use, by name.
    static func values(
        of manifest: Manifest, for declaration: TemplateDeclaration, named name: String
    ) throws -> [String: JSONValue] {
        try checkPaths(of: manifest, named: name)
        try checkTargets(of: manifest, for: declaration)
        let module = manifest.model.files.first { suffix(of: $0.target) == ".py" }
        return [
            "name": .string(manifest.name),
            "model_type": .string(modelType(of: manifest)),
            "golden": golden(of: manifest).map(JSONValue.string) ?? .null,
            "asynchronous": .bool(declaration.isAsynchronous),
            "port": .integer(Int64(manifest.server.port)),
            "model_file": .string(try modelFile(of: manifest, for: declaration, named: name)),
            "module_file": module.map { .string($0.target) } ?? .null,
        ]
    }

    /// The first smoke prediction, as the body that it sends; nil when there is none that must succeed.
    static func golden(of manifest: Manifest) -> String? {
        for smoke in manifest.smoke {
            guard smoke.status == 200, smoke.request.method == "POST",
                smoke.request.path == nil || smoke.request.path == manifest.predict.path,
                case .json(let body) = smoke.request.body
            else { continue }
            let text = body.description
            if text.utf8.count <= maximumGoldenBytes { return text }
        }
        return nil
    }

    /// The model file that the template loads: the first with one of its suffixes, or a folder.
    private static func modelFile(
        of manifest: Manifest, for declaration: TemplateDeclaration, named name: String
    ) throws -> String {
        let files = manifest.model.files
        if let file = files.first(where: { declaration.modelSuffixes.contains(suffix(of: $0.target)) }) {
            return file.target
        }
        // What has no suffix may be a folder, in which the app looks for a file itself.
        if let file = files.first(where: { suffix(of: $0.target).isEmpty }) { return file.target }
        let suffixes = declaration.modelSuffixes.joined(separator: ", ")
        throw BerthError(
            .invalidManifest,
            files.isEmpty
                ? "template '\(name)' needs a model file, and the manifest names none"
                : "template '\(name)' cannot load '\(files[0].target)'",
            suggestion: "it loads \(suffixes)")
    }

    private static func checkPaths(of manifest: Manifest, named name: String) throws {
        let own: [(key: String, path: String?, rendered: String)] = [
            ("health.path", manifest.health.path, "/health"),
            ("predict.path", manifest.predict.path, "/predict"),
            ("predict.info_path", manifest.predict.infoPath, "/info"),
        ]
        for (key, path, rendered) in own {
            if let path, path != rendered {
                throw BerthError(
                    .invalidManifest, "\(key) is '\(path)', but template '\(name)' answers on '\(rendered)'",
                    suggestion: "leave \(key) out, or bring an app of your own")
            }
        }
    }

    private static func checkTargets(of manifest: Manifest, for declaration: TemplateDeclaration) throws {
        let taken = Set(declaration.files.map(\.path))
        for file in manifest.model.files {
            let first = file.target.split(separator: "/").first.map(String.init) ?? file.target
            // A folder `app` would be imported in place of `app.py`.
            if taken.contains(first) || taken.contains("\(first).py") {
                throw BerthError(
                    .invalidManifest, "model file '\(file.target)' would hide a rendered file",
                    suggestion: "give it another target, such as 'files/\(file.target)'")
            }
        }
    }

    /// The suffix of the last path component, in lower case with its dot; empty when it has none.
    static func suffix(of path: String) -> String {
        let name = path.split(separator: "/").last ?? ""
        guard let dot = name.lastIndex(of: "."), dot != name.startIndex else { return "" }
        return name[dot...].lowercased()
    }
}
