import AppTemplates
import DeploymentCore
import Testing

@Suite struct OwnAppTests {
    private func own(_ target: String) -> Manifest { Manifest(name: "x", server: .init(app: .own(target))) }

    @Test(arguments: [
        ("app.py", "app.py", "None"), ("src/api/main.py:make", "src/api/main.py", "\"make\""),
        ("api.main:app", "api.main", "\"app\""), ("api.main:create_app()", "api.main", "\"create_app\""),
        ("api", "api", "None"),
    ])
    func targetIsTakenApart(target: String, module: String, attribute: String) throws {
        let start = try shippedTemplates().start(for: own(target))
        #expect(start.command == ["python", "berth_launch.py"])
        let launcher = try #require(try shippedTemplates().render(own(target)).first)
        #expect(launcher.path == "berth_launch.py")
        #expect(launcher.contents.contains("\nTARGET = \"\(module)\""))
        #expect(launcher.contents.contains("\nATTRIBUTE: str | None = \(attribute)\n"))
    }

    @Test(arguments: ["", "/etc/app.py", "../app.py", "a b:app", "api.main:", "api..main", "app.py:x y", "1x:app"])
    func nonsenseIsRefused(target: String) throws {
        let error = #expect(throws: BerthError.self) {
            try shippedTemplates().start(for: own(target))
        }
        #expect(error?.code == .invalidManifest)
    }

    @Test func misspeltFileIsToldBeforeASandboxIsMade() throws {
        let error = #expect(throws: BerthError.self) {
            try shippedTemplates().start(for: own("sever.py"), files: ["server.py", "README.md"])
        }
        #expect(error?.suggestion == "did you mean 'server.py'?")
    }

    @Test func commandIsStartedAsItIs() throws {
        let server = Manifest.Server(app: .command(["python", "serve.py"]), workingDirectory: "backend")
        let start = try shippedTemplates().start(for: Manifest(name: "x", server: server))
        #expect(start == AppStart(command: ["python", "serve.py"], workingDirectory: "backend"))
    }
}
