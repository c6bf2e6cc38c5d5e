import DeploymentCore
import ManifestParsing
import Testing

/// What valid manifests mean.
@Suite struct DecodingTests {
    @Test func smallestManifestHasTheDocumentedDefaults() throws {
        let parsed = try accepted("name: iris\nmodel: iris.joblib\n")
        #expect(
            parsed.manifest
                == Manifest(
                    name: "iris", model: .init(files: [.init(source: "iris.joblib", target: "model/iris.joblib")]),
                    server: .init(app: .template("sklearn")),
                    health: .init(expect: Manifest.Health.renderedExpectation)))
        #expect(parsed.warnings.isEmpty)
    }

    @Test func ownAppsHaveTheirOwnDefaults() throws {
        let app = try accepted("name: a\nserver: {app: app.py, framework: flask}\n").manifest
        #expect(app.server == .init(framework: .flask, app: .own("app.py"), source: "."))
        #expect(app.health.expect == nil)
        #expect(app.model.files.isEmpty)
        let command = try accepted("name: a\nserver: {command: [python, serve.py, --workers, 2], source: src}\n")
            .manifest
        #expect(command.server == .init(app: .command(["python", "serve.py", "--workers", "2"]), source: "src"))
        let module = try accepted("name: a\nserver: {app: 'pkg.main:create'}\n").manifest
        #expect(module.server.app == .own("pkg.main:create"))
    }

    @Test(arguments: [
        ("joblib", "sklearn"), ("pkl", "sklearn"), ("pickle", "sklearn"), ("onnx", "onnx"), ("ONNX", "onnx"),
        ("pt", "torch"), ("pth", "torch"), ("ts", "torch"), ("py", "python"),
    ])
    func templateFollowsTheSuffix(suffix: String, template: String) throws {
        #expect(try accepted("name: a\nmodel: m/x.\(suffix)\n").manifest.server.app == .template(template))
        #expect(try accepted("name: a\nmodel: [x.\(suffix), y.bin]\n").manifest.server.app == .template(template))
        #expect(
            try accepted("name: a\nmodel: {files: [{source: x.\(suffix)}]}\n").manifest.server.app
                == .template(template))
    }

    @Test func templateIsGivenAtEitherPlace() throws {
        let short = try accepted("name: a\nmodel: m.bin\ntemplate: torch\n").manifest
        let long = try accepted("name: a\nmodel: m.bin\nserver: {template: torch}\n").manifest
        #expect(short == long)
        #expect(short.server.app == .template("torch"))
    }

    @Test func modelHasThreeForms() throws {
        let file = Manifest.Model.File(source: "a/m.onnx", target: "model/m.onnx")
        #expect(try accepted("name: a\nmodel: a/m.onnx\n").manifest.model == .init(files: [file]))
        #expect(try accepted("name: a\nmodel: [a/m.onnx]\n").manifest.model == .init(files: [file]))
        let digest = String(repeating: "0a", count: 32)
        let full = try accepted(
            """
            name: a
            model:
              type: digits
              files:
                - source: a/m.onnx
                  target: net.onnx
                  sha256: \(digest)
                - labels/
            """)
        let files: [Manifest.Model.File] = [
            .init(source: "a/m.onnx", target: "net.onnx", sha256: digest),
            .init(source: "labels/", target: "model/labels"),
        ]
        #expect(full.manifest.model == .init(type: "digits", files: files))
    }

    @Test func standardTargetsFollowTheTemplate() throws {
        func target(_ source: String, _ more: String) throws -> String? {
            try accepted("name: a\nmodel: [\"\(source)\"]\n\(more)\n").manifest.model.files.first?.target
        }
        #expect(try target("src/predict.py", "template: python") == "predict.py")
        #expect(try target("src/net.py", "template: torch") == "net.py")
        #expect(try target("src/net.py", "template: sklearn") == "model/net.py")
        #expect(try target("src/net.py", "server: {app: app.py}") == "model/net.py")
        // The template brings a model.py of its own.
        #expect(try target("model.py", "") == "model/model.py")
        #expect(try target("https://x.org/a/m.onnx?download=1#x", "") == "model/m.onnx")
    }

    @Test func pythonVersionStaysAsWritten() throws {
        #expect(try accepted(iris("python: 3.11")).manifest.python == "3.11")
        #expect(try accepted(iris("python: 3.10")).manifest.python == "3.10")
        #expect(try accepted(iris("python: \"3.12.7\"")).manifest.python == "3.12.7")
        #expect(try accepted(iris("python: 3.10.4")).manifest.python == "3.10.4")
    }

    @Test func environmentValuesStayAsWritten() throws {
        let env = try accepted(
            iris("env: {A: 0.10, B: true, C: 0x1F, D: 'x: y', E: yes, F: , G: null, H: 007, I: \"a\\nb\"}")
        ).manifest.env
        #expect(
            env == [
                "A": "0.10", "B": "true", "C": "0x1F", "D": "x: y", "E": "yes", "F": "", "G": "null", "H": "007",
                "I": "a\nb",
            ])
    }

    @Test func requirementsAreAListOrAFile() throws {
        #expect(
            try accepted(iris("requirements: [numpy==2.1, 'x[y]>=1; python_version<\"4\"']")).manifest.requirements
                == .list(["numpy==2.1", "x[y]>=1; python_version<\"4\""]))
        #expect(try accepted(iris("requirements: reqs/base.txt")).manifest.requirements == .file("reqs/base.txt"))
        #expect(try accepted(iris("requirements: pyproject.toml")).manifest.requirements == .file("pyproject.toml"))
        #expect(try accepted(iris("requirements: []")).manifest.requirements == .none)
    }

    @Test func healthTakesEveryKey() throws {
        let health = try accepted(
            """
            name: a
            server: {app: app.py}
            health:
              path: /ready?full=1
              interval: 20ms
              timeout: 2s
              startup_timeout: 5m
              success_threshold: 2
              failure_threshold: 5
              expect: {state: {ok: true}, n: [1, 2.5, null]}
              headers: {Authorization: Bearer x}
            """
        ).manifest.health
        #expect(
            health
                == Manifest.Health(
                    path: "/ready?full=1", interval: .milliseconds(20), timeout: .seconds(2),
                    startupTimeout: .seconds(300),
                    successThreshold: 2, failureThreshold: 5,
                    expect: ["state": ["ok": true], "n": [1, 2.5, nil]], headers: ["Authorization": "Bearer x"]))
        #expect(try accepted("name: a\nserver: {app: app.py}\nhealth: {path: none}").manifest.health.path == nil)
        #expect(try accepted(iris("health: {expect: none}")).manifest.health.expect == nil)
    }

    @Test func predictAndRolloutTakeEveryKey() throws {
        let manifest = try accepted(
            """
            name: a
            server: {app: app.py, port: 8080, exclude: [data, "*.log"], working_directory: svc}
            predict: {path: /v1/infer, info_path: none, timeout: 1h}
            rollout: {drain: 0s}
            """
        ).manifest
        #expect(manifest.predict == .init(path: "/v1/infer", infoPath: nil, timeout: .seconds(3600)))
        #expect(manifest.rollout.drain == .zero)
        #expect(manifest.server.port == 8080)
        #expect(manifest.server.exclude == ["data", "*.log"])
        #expect(manifest.server.workingDirectory == "svc")
    }

    @Test func environmentDecidesThePort() throws {
        let yaml = iris("server: {port: 5000}")
        func port(_ environment: [String: String], _ overrides: [String] = []) throws -> Int {
            try accepted(yaml, environment: environment, overrides: overrides).manifest.server.port
        }
        #expect(try port([:]) == 5000)
        #expect(try port(["E2B_MODEL_PORT": "6000"]) == 6000)
        #expect(try port(["E2B_MODEL_PORT": "6000", "BERTH_MODEL_PORT": "7000"]) == 7000)
        #expect(try port(["E2B_MODEL_PORT": "6000", "BERTH_MODEL_PORT": ""]) == 6000)
        #expect(try port(["BERTH_MODEL_PORT": "7000"], ["server.port=8000"]) == 8000)
        for text in ["0", "65536", "80a", "-1", "99999999999999999999"] {
            #expect(
                refused(yaml, environment: ["BERTH_MODEL_PORT": text]) == """
                    BERTH_MODEL_PORT: must be a port from 1 to 65535, not '\(text)'
                      unset it to use the manifest's port, 5000
                    """)
        }
    }

    @Test func coreSchemaDecidesWhatAScalarIs() throws {
        let request = try accepted(
            iris(
                """
                smoke:
                  - request: [~, null, true, False, yes, 1, -2, +3, 0x1f, 0o17, 1.5, .5, 2., 1e3, 1.e2, 007, "1", '', 1_000, 0b1, 12:30,
                      9223372036854775808, -.5e-1]
                """)
        ).manifest.smoke[0].request.body
        #expect(
            request
                == .json([
                    nil, nil, true, false, "yes", 1, -2, 3, 31, 15, 1.5, 0.5, 2.0, 1000.0, 100.0, 7, "1", "", "1_000",
                    "0b1",
                    "12:30", 9_223_372_036_854_775_808.0, -0.05,
                ]))
    }
}
