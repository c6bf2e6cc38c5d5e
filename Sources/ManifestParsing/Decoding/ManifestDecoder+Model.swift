import DeploymentCore

extension ManifestDecoder {
    /// The names that a rendered app brings itself.
    static let renderedFiles = ["app.py", "launch.py", "model.py"]

    /// The model with a target for each file; `app` is nil when it is not known what loads them.
    func model(_ root: Fields, app: Manifest.Server.App?) -> Manifest.Model {
        guard let value = root["model"] else {
            if case .template(let name) = app { reportMissing(name, "is missing", at: root.place(of: "model"), root) }
            return Manifest.Model()
        }
        let entries = value.fields?["files"]?.list ?? value.list ?? (value.text == nil ? [] : [value])
        let isBroken = value.fields?.has("files") == true && value.fields?["files"] == nil
        var files: [Manifest.Model.File] = []
        var taken = TakenTargets()
        for entry in entries {
            guard let file = file(entry, app: app) else { continue }
            let place = entry.fields?["target"]?.place ?? entry.place
            checkTarget(file.target, at: place, taken: &taken, app: app)
            files.append(file)
        }
        if case .template(let name) = app, entries.isEmpty, !isBroken {
            reportMissing(name, "names no file", at: value.place, root)
        }
        return Manifest.Model(type: value.fields?["type"]?.text, files: files)
    }

    private func reportMissing(_ template: String, _ what: String, at place: Place, _ root: Fields) {
        if root.has("model"), root["model"] == nil { return }
        findings.error(
            "'model' \(what), but the template \(quoted(template)) needs a file", at: place,
            suggestion: "give a file such as \(Self.example(template)), 'server.app' (an own app), or 'server.command'")
    }

    private static func example(_ template: String) -> String {
        let suffix = ["sklearn": "joblib", "onnx": "onnx", "torch": "pt", "python": "py"][template] ?? "joblib"
        return suffix == "py" ? "predict.py" : "model.\(suffix)"
    }

    private func file(_ entry: Checked, app: Manifest.Server.App?) -> Manifest.Model.File? {
        guard let source = entry.text ?? entry.fields?["source"]?.text else { return nil }
        let digest = entry.fields?["sha256"]?.text
        let isWrong = entry.fields.map { $0.has("target") && $0["target"] == nil } ?? false
        let target = entry.fields?["target"]?.text ?? ModelTarget.standard(for: source, app: app)
        guard let target else {
            if !isWrong {
                findings.error(
                    "\(quoted(source)) does not end in a file name", at: entry.fields?["source"]?.place ?? entry.place,
                    suggestion: "say where it lands: {source: …, target: model/…}")
            }
            return nil
        }
        if isWrong { return nil }
        let file = Manifest.Model.File(source: source, target: target, sha256: digest)
        if file.isRemote, digest == nil, entry.fields?.has("sha256") != true {
            findings.warning(
                "\(quoted(source)) is not pinned, so it can change unnoticed", at: entry.place,
                suggestion: "add its 'sha256'")
        }
        return file
    }

    private func checkTarget(
        _ target: String, at place: Place, taken: inout TakenTargets, app: Manifest.Server.App?
    ) {
        if case .template = app, Self.renderedFiles.contains(target) {
            findings.error(
                "\(quoted(target)) is written by the template", at: place,
                suggestion: "choose another 'target', such as \(quoted("model/" + target))")
        } else if let (other, first) = taken.add(target, at: place) {
            let since = first.line > 0 ? " in line \(first.line)" : ""
            findings.error(
                other == target
                    ? "the target \(quoted(target)) is taken already\(since)"
                    : "the targets \(quoted(target)) and \(quoted(other))\(since) lie in each other", at: place,
                suggestion: "give each file its own 'target'")
        }
    }
}

/// The targets given so far, and the folders above them.
private struct TakenTargets {
    private var targets: [String: Place] = [:]
    private var folders: [String: (target: String, place: Place)] = [:]

    /// Notes a target, or returns the one that is in its way.
    mutating func add(_ target: String, at place: Place) -> (target: String, place: Place)? {
        if let first = targets[target] { return (target, first) }
        if let inside = folders[target] { return inside }
        let parts = target.split(separator: "/")
        let above = (1..<max(parts.count, 1)).map { parts.prefix($0).joined(separator: "/") }
        for folder in above { if let first = targets[folder] { return (folder, first) } }
        for folder in above { folders[folder] = (target, place) }
        targets[target] = place
        return nil
    }
}

/// Where model files land when the manifest does not say it.
enum ModelTarget {
    /// `model/<file name>`; `<file name>` for Python code that a template imports. Nil without a file name.
    static func standard(for source: String, app: Manifest.Server.App?) -> String? {
        guard let name = baseName(of: source) else { return nil }
        if case .template("python") = app, isModule(name) { return name }
        if case .template("torch") = app, isModule(name) { return name }
        return "model/\(name)"
    }

    /// The last part of a path or URL that can be a file name.
    static func baseName(of source: String) -> String? {
        var path = source[...]
        if source.hasPrefix("https://") {
            path = path.dropFirst("https://".count).prefix { $0 != "?" && $0 != "#" }
            guard let slash = path.firstIndex(of: "/") else { return nil }
            path = path[slash...]
        }
        guard let name = path.split(separator: "/").last.map(String.init) else { return nil }
        return TextRule.target.check(name) == nil ? name : nil
    }

    private static func isModule(_ name: String) -> Bool {
        name.hasSuffix(".py") && !ManifestDecoder.renderedFiles.contains(name)
    }
}
