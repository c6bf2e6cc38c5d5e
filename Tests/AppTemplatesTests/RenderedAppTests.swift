import AppTemplates
import BerthTestSupport
import DeploymentCore
import Foundation
import Testing

/// The rendered Python is real: linted, typed, and asked over HTTP with the libraries that it declares.
@Suite(.serialized) struct RenderedAppTests {
    private static let ruffRules = ["--select", "E,F,I,B,UP,SIM", "--isolated", "--line-length", "120"]

    /// Renders every template, and own launchers, below `folder`; gives the app folders' names.
    private func renderAll(to folder: String) throws -> [String] {
        let catalog = try shippedTemplates()
        var names: [String] = []
        func add(_ name: String, _ manifest: Manifest) throws {
            try write(try catalog.render(manifest), to: "\(folder)/\(name)")
            names.append(name)
        }
        for framework in Manifest.Server.Framework.allCases {
            let prefix = framework.rawValue
            for template in ["sklearn", "onnx", "python"] {
                try add("\(prefix)-\(template)", manifest(framework, template))
            }
            try add("\(prefix)-coroutine", manifest(framework, "python"))
            try add("\(prefix)-guarded", manifest(framework, "sklearn"))
            try add("\(prefix)-broken", manifest(framework, "sklearn"))
            var torch = manifest(framework, "torch")
            torch.model.files.append(.init(source: "net.py", target: "net.py"))
            try add("\(prefix)-torch", torch)
        }
        try add("fastapi-slow", manifest(.fastapi, "python"))
        return names
    }

    /// Own apps: each a target and its files.
    private static let own: [(name: String, target: String, files: [String: String])] = [
        ("own-file", "app.py", ["app.py": fastapi]),
        ("own-factory", "app.py", ["app.py": flask]),
        (
            "own-module", "api.main:make()",
            [
                "api/__init__.py": "", "api/main.py": "from .inner import make\n",
                "api/inner.py": flask.replacing("create_app", with: "make"),
            ]
        ),
        ("own-src", "shop.web:app", ["src/shop/__init__.py": "", "src/shop/web.py": fastapi]),
        (
            "own-package-file", "api/main.py",
            [
                "api/__init__.py": "", "api/main.py": "from .inner import app\n",
                "api/inner.py": fastapi,
            ]
        ),
        ("own-bare-asgi", "serve:app", ["serve.py": bareASGI]),
        ("own-bare-wsgi", "serve", ["serve.py": bareWSGI]),
        ("empty", "app.py", ["app.py": "x = 1\n"]),
    ]

    private static let fastapi = """
        from fastapi import FastAPI
        app = FastAPI()
        @app.get("/health")
        def health(): return {"ok": True}

        """
    private static let flask = """
        from flask import Flask
        def create_app():
            app = Flask(__name__)
            @app.get("/health")
            def health(): return {"ok": True}
            return app

        """
    private static let bareASGI = """
        async def app(scope, receive, send):
            if scope["type"] != "http": raise NotImplementedError
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
            await send({"type": "http.response.body", "body": b'{"ok": true}'})

        """
    private static let bareWSGI = """
        def application(environ, start_response):
            start_response("200 OK", [("Content-Type", "application/json")])
            return [b'{"ok": true}']

        """

    @Test(.enabled(if: program("ruff") != nil, missing("ruff")))
    func renderedCodeIsLintedAndFormatted() async throws {
        try await withTemporaryFolder { folder in
            var names = try renderAll(to: folder)
            let launcher = Manifest(name: "x", server: .init(app: .own("app.py")))
            try write(try shippedTemplates().render(launcher), to: "\(folder)/own")
            names.append("own")
            for name in names {
                let app = "\(folder)/\(name)"
                let check = try await run("ruff", ["check", "-q"] + Self.ruffRules + ["."], in: app)
                #expect(check.code == 0, "\(name): \(check.output)")
                let format = try await run(
                    "ruff", ["format", "-q", "--diff", "--isolated", "--line-length", "120", "."], in: app)
                #expect(format.code == 0, "\(name): \(format.output)")
            }
        }
    }

    @Test(.enabled(if: program("mypy") != nil && program("uv") != nil, "mypy or uv is not on PATH"))
    func renderedCodeIsTyped() async throws {
        try await withTemporaryFolder { folder in
            let typed = ["fastapi", "uvicorn", "flask", "granian", "msgspec", "numpy"]
            let python = try await environment(with: typed, in: folder)
            var apps: [String: [String]] = ["own": ["berth_launch.py"]]
            let launcher = Manifest(name: "x", server: .init(app: .own("app.py")))
            try write(try shippedTemplates().render(launcher), to: "\(folder)/own")
            let copies = ["guarded", "broken", "slow"]
            for name in try renderAll(to: folder) where !copies.contains(where: name.hasSuffix) {
                apps[name] = ["app.py", "launch.py", "berth_model.py"]
            }
            let options = ["--strict", "--ignore-missing-imports", "--python-executable", python]
            for (name, files) in apps.sorted(by: { $0.key < $1.key }) {
                let result = try await run(
                    "mypy", options + ["--cache-dir", "\(folder)/cache"] + files, in: "\(folder)/\(name)")
                #expect(result.code == 0, "\(name): \(result.output)")
            }
        }
    }

    @Test(.enabled(if: program("uv") != nil, missing("uv")), .timeLimit(.minutes(10)))
    func renderedAppsAnswerOverHTTP() async throws {
        let catalog = try shippedTemplates()
        let withTorch = ProcessInfo.processInfo.environment["BERTH_TEST_TORCH"] == "1"
        try await withTemporaryFolder { folder in
            let apps = "\(folder)/apps"
            for name in try renderAll(to: apps) where name.hasSuffix("-guarded") {
                let guardCode = name.hasPrefix("fastapi") ? Self.fastapiGuard : Self.flaskGuard
                let path = "\(apps)/\(name)/app.py"
                let code = try String(contentsOfFile: path, encoding: .utf8)
                try (code + guardCode).write(toFile: path, atomically: true, encoding: .utf8)
            }
            try prepareOwn(in: apps, catalog: catalog)
            var requirements: Set<String> = ["skl2onnx"]
            for (framework, name) in catalog.names where name != "torch" || withTorch {
                requirements.formUnion(try catalog.requirements(for: .init(framework: framework, app: .template(name))))
            }
            requirements.formUnion(try catalog.requirements(for: .init(app: .own("app.py"))))
            let python = try await environment(with: requirements.sorted(), in: folder)
            try await check(python, [beside("python/check_apps.py"), apps], in: folder)
        }
    }

    /// Makes an environment with packages; gives its interpreter.
    private func environment(with requirements: [String], in folder: String) async throws -> String {
        let python = "\(folder)/venv/bin/python"
        try await check("uv", ["venv", "-q", "venv"], in: folder)
        try await check("uv", ["pip", "install", "-q", "--python", python] + requirements, in: folder)
        return python
    }

    private func prepareOwn(in apps: String, catalog: TemplateCatalog) throws {
        for own in Self.own {
            let manifest = Manifest(name: "x", server: .init(app: .own(own.target)))
            let files = own.files.map { RenderedFile(path: $0.key, contents: $0.value) }
            try write(files + catalog.render(manifest), to: "\(apps)/\(own.name)")
        }
    }

    private func check(_ name: String, _ arguments: [String], in folder: String) async throws {
        let result = try await run(name, arguments, in: folder)
        try #require(result.code == 0, "\(result.output)")
    }

    private static let fastapiGuard = """


        @app.middleware("http")
        async def guard(request, call_next):
            if request.headers.get("authorization") != "yes" and request.url.path == "/predict":
                return Response(b'{"success": false}', 401, media_type="application/json")
            return await call_next(request)

        """
    private static let flaskGuard = """


        @app.before_request
        def guard():
            if request.headers.get("authorization") != "yes" and request.path == "/predict":
                return reply({"success": False}, 401)

        """
}
