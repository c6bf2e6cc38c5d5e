import DeploymentCore

extension ManifestDecoder {
    /// What is started; nil, reported, when the manifest does not say it or says two things.
    func app(_ root: Fields) -> Manifest.Server.App? {
        let server = root["server"]?.fields ?? .none(at: root.place)
        let given = [
            ("template", root.has("template"), root.place(of: "template")),
            ("server.template", server.has("template"), server.place(of: "template")),
            ("server.app", server.has("app"), server.place(of: "app")),
            ("server.command", server.has("command"), server.place(of: "command")),
        ].filter(\.1)
        if given.count > 1 {
            let last = given.map(\.2).max { ($0.line, $0.column) < ($1.line, $1.column) } ?? root.place
            findings.error(
                "only one of \(alternatives(given.map { quoted($0.0) })) can be given", at: last,
                suggestion: "keep the one that starts the app")
            return nil
        }
        if let template = root["template"]?.text ?? server["template"]?.text { return .template(template) }
        if let app = server["app"]?.text { return .own(app) }
        if let command = server["command"]?.list {
            let words = command.compactMap(\.text)
            if words.first?.isEmpty == false { return .command(words) }
            findings.error(
                "'server.command' must name a program first", at: server.place(of: "command"),
                suggestion: "as in [python, serve.py]")
            return nil
        }
        // A wrong value has been reported and must not be taken for a missing one.
        return given.isEmpty ? inferredTemplate(root).map { .template($0) } : nil
    }

    /// The template that the first model file's suffix stands for.
    private func inferredTemplate(_ root: Fields) -> String? {
        let ways = "'server.app' (an own app), or 'server.command'"
        guard root.has("model") else {
            findings.error(
                "there is nothing to serve", at: root.place,
                suggestion: "give 'model' (a file such as model.joblib), \(ways)")
            return nil
        }
        guard let model = root["model"] else { return nil }
        guard let source = firstSource(model) else {
            // Files that were wrong have been reported; none at all have not.
            let isEmpty = model.list.map(\.isEmpty) ?? (model.fields?.has("files") != true)
            if isEmpty {
                findings.error(
                    "'model' names no file", at: model.place,
                    suggestion: "give a file such as model.joblib, \(ways)")
            }
            return nil
        }
        let name = ModelTarget.baseName(of: source) ?? source
        let suffix = name.split(separator: ".", omittingEmptySubsequences: false).dropFirst().last?.lowercased() ?? ""
        if let template = ManifestSchema.templateBySuffix[suffix] { return template }
        let templates = alternatives(ManifestSchema.templates)
        findings.error(
            "no template is known for \(quoted(name))", at: model.place,
            suggestion: "give 'template' (\(templates)), \(ways)")
        return nil
    }

    private func firstSource(_ model: Checked) -> String? {
        if let source = model.text { return source }
        let files = model.list ?? model.fields?["files"]?.list
        guard let first = files?.first else { return nil }
        return first.text ?? first.fields?["source"]?.text
    }

    /// The server with the port of the environment.
    func server(_ root: Fields, app: Manifest.Server.App) -> Manifest.Server {
        let given = root["server"]?.fields ?? .none(at: root.place)
        var server = Manifest.Server(app: app)
        if let name = given["framework"]?.text { server.framework = .init(rawValue: name) ?? server.framework }
        server.port = port(given)
        server.exclude = given["exclude"]?.list?.compactMap(\.text) ?? []
        server.workingDirectory = given["working_directory"]?.text
        server.source = given["source"]?.text ?? (server.isRendered ? nil : ".")
        if case .command = app, given.has("framework") {
            findings.error(
                "'server.framework' is for templates and 'server.app'; a command brings its own",
                at: given.place(of: "framework"), suggestion: "leave it out")
        }
        if server.isRendered, given.has("working_directory") {
            findings.error(
                "'server.working_directory' is for own apps; a template starts in the app folder",
                at: given.place(of: "working_directory"), suggestion: "leave it out")
        }
        if server.isRendered, given.has("exclude"), !given.has("source") {
            findings.error(
                "'server.exclude' needs 'server.source'", at: given.place(of: "exclude"),
                suggestion: "a template copies nothing but the model's files")
        }
        return server
    }

    private func port(_ given: Fields) -> Int {
        let own = given["port"]?.integer ?? Manifest.Server.defaultPort
        if case .flag = given.place(of: "port").origin, given.has("port") { return own }
        for name in ManifestParser.portVariables {
            guard let text = environment[name], !text.isEmpty else { continue }
            if text.utf8.allSatisfy(\.isDigit), let port = Int(text), (1...65535).contains(port) { return port }
            findings.error(
                "must be a port from 1 to 65535, not \(quoted(text))", at: Place(.variable(name)),
                suggestion: "unset it to use the manifest's port, \(own)")
            return own
        }
        return own
    }
}
