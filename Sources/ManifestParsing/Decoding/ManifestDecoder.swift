import DeploymentCore

/// Makes the manifest from checked keys: defaults, shorthands, and combinations that cannot work.
struct ManifestDecoder {
    let findings: Findings
    let environment: [String: String]

    /// The manifest; nil when the name or the model is missing. It is good only when no error was found.
    func decode(_ root: Fields) -> Manifest? {
        let app = app(root)
        let model = model(root, app: app)
        // An own app takes every key, so an unknown app brings no further errors.
        let server = server(root, app: app ?? .own(""))
        let predict = predict(root["predict"]?.fields, server: server)
        let manifest = Manifest(
            name: root["name"]?.text ?? "", model: model, server: server, python: root["python"]?.text,
            requirements: requirements(root["requirements"]), env: texts(root["env"]?.fields),
            health: health(root["health"]?.fields, server: server), predict: predict,
            smoke: smoke(root["smoke"]?.list ?? [], predict: predict), rollout: rollout(root["rollout"]?.fields),
            standby: root["standby"]?.integer ?? Manifest.defaultStandby,
            resources: resources(root["resources"]?.fields),
            isolation: root["isolation"]?.text.flatMap(Isolation.init), network: network(root["network"]),
            idle: idle(root["idle"]?.fields), ttl: root["ttl"]?.duration, sudo: root["sudo"]?.text == "on" ? true : nil,
            provider: provider(root["provider"], port: server.port))
        return app == nil ? nil : manifest
    }

    private func idle(_ given: Fields?) -> Manifest.Idle? {
        guard let given else { return nil }
        let idle = Manifest.Idle(
            pauseAfter: given["pause_after"]?.duration, stopAfter: given["stop_after"]?.duration)
        if let pause = idle.pauseAfter, let stop = idle.stopAfter, stop <= pause {
            findings.error(
                "'idle.stop_after' must be longer than 'idle.pause_after'", at: given.place(of: "stop_after"),
                suggestion: "leave 'pause_after' out to stop without a pause")
        }
        return idle.pauseAfter == nil && idle.stopAfter == nil ? nil : idle
    }

    private func requirements(_ value: Checked?) -> Manifest.Requirements {
        if let file = value?.text { return .file(file) }
        let lines = value?.list?.compactMap(\.text) ?? []
        return lines.isEmpty ? .none : .list(lines)
    }

    private func health(_ given: Fields?, server: Manifest.Server) -> Manifest.Health {
        var health = Manifest.Health()
        if server.isRendered { health.expect = Manifest.Health.renderedExpectation }
        guard let given else { return health }
        if let path = given["path"]?.text { health.path = path == "none" ? nil : path }
        health.interval = given["interval"]?.duration ?? health.interval
        health.timeout = given["timeout"]?.duration ?? health.timeout
        health.startupTimeout = given["startup_timeout"]?.duration ?? health.startupTimeout
        health.successThreshold = given["success_threshold"]?.integer ?? health.successThreshold
        health.failureThreshold = given["failure_threshold"]?.integer ?? health.failureThreshold
        if let expect = given["expect"] { health.expect = expect.json }
        health.headers = headers(given["headers"]?.fields)
        checkHealth(health, given, server)
        return health
    }

    private func checkHealth(_ health: Manifest.Health, _ given: Fields, _ server: Manifest.Server) {
        if server.isRendered, let path = given["path"]?.text, path != Manifest.Health().path {
            findings.error(
                "'health.path' is for own apps; a template answers on '/health'", at: given.place(of: "path"),
                suggestion: "leave it out")
        } else if given["path"]?.text == "none" {
            for key in ["expect", "headers"] where given.has(key) {
                findings.error("'health.\(key)' needs a 'health.path', which is none", at: given.place(of: key))
            }
        }
        if given["timeout"] != nil || given["startup_timeout"] != nil, health.timeout > health.startupTimeout {
            let key = given["timeout"] != nil ? "timeout" : "startup_timeout"
            findings.error(
                "'health.timeout' (\(DurationText.write(health.timeout))) is longer than 'health.startup_timeout' "
                    + "(\(DurationText.write(health.startupTimeout)))", at: given[key]?.place ?? given.place)
        }
    }

    private func resources(_ given: Fields?) -> SandboxLimits? {
        guard let given else { return nil }
        return SandboxLimits(
            memory: given["memory"]?.text.flatMap(SizeText.parse), cpu: given["cpu"]?.text.flatMap { Double($0) },
            processes: given["processes"]?.integer, disk: given["disk"]?.text.flatMap(SizeText.parse),
            openFiles: given["open_files"]?.integer)
    }

    private func network(_ given: Checked?) -> NetworkAccess? {
        guard let given else { return nil }
        if let word = given.text { return word == "egress" ? .egress : .nothing }
        guard let list = given.list else { return nil }
        let rules = list.compactMap(\.text).compactMap { try? HostRule(parsing: $0) }
        // What was wrong has been reported.
        guard rules.isEmpty else { return .hosts(rules) }
        if !findings.hasErrors {
            findings.error("'network' names no host", at: given.place, suggestion: "write 'network: none'")
        }
        return .nothing
    }

    private func predict(_ given: Fields?, server: Manifest.Server) -> Manifest.Predict {
        var predict = Manifest.Predict()
        guard let given else { return predict }
        if let path = given["path"]?.text { predict.path = path }
        if let path = given["info_path"]?.text { predict.infoPath = path == "none" ? nil : path }
        predict.timeout = given["timeout"]?.duration ?? predict.timeout
        if server.isRendered {
            let fixed = Manifest.Predict()
            for (key, expected) in [("path", fixed.path), ("info_path", fixed.infoPath ?? "")] {
                guard let path = given[key]?.text, path != expected else { continue }
                findings.error(
                    "'predict.\(key)' is for own apps; a template answers on \(quoted(expected))",
                    at: given.place(of: key), suggestion: "leave it out")
            }
        }
        return predict
    }

    private func rollout(_ given: Fields?) -> Manifest.RolloutSettings {
        var rollout = Manifest.RolloutSettings()
        rollout.drain = given?["drain"]?.duration ?? rollout.drain
        return rollout
    }

    /// The texts of a dictionary.
    func texts(_ given: Fields?) -> [String: String] {
        var texts: [String: String] = [:]
        for entry in given?.entries ?? [] { texts[entry.name] = entry.value?.text }
        return texts
    }

    /// Headers; names that differ only in case are the same header.
    func headers(_ given: Fields?) -> [String: String] {
        var seen: Set<String> = []
        for entry in given?.entries ?? [] where !seen.insert(entry.name.lowercased()).inserted {
            findings.error("the header \(quoted(entry.name)) is given twice", at: entry.place)
        }
        return texts(given)
    }
}
