import ControlPlane
import DeploymentCore
import Foundation
import Testing

/// The official Python SDKs of E2B, unmodified, against a control plane of ours.
@Suite(.timeLimit(.minutes(15)), .enabled(if: Machine.find("uv") != nil, "uv is not on PATH"))
struct SDKTests {
    /// How an SDK is told where the server is.
    enum Recipe: CaseIterable {
        /// By the addresses of both planes, without TLS.
        case addresses
        /// By a domain below `.localhost` and the certificate of our own authority.
        case domain
    }

    static let clients = ["2.45.1", "2.46.0", "2.63.0"]

    @Test(arguments: clients, Recipe.allCases)
    func theOfficialClientRunsUnmodified(_ version: String, _ recipe: Recipe) async throws {
        try await run(["e2b==\(version)", "pytest==9.2.0", "pytest-asyncio==1.5.0"], in: "python", recipe)
    }

    @Test(arguments: Recipe.allCases)
    func theOfficialCodeInterpreterRunsUnmodified(_ recipe: Recipe) async throws {
        try await run(["e2b-code-interpreter==2.11.5", "pytest==9.2.0"], in: "interpreter", recipe)
    }

    /// Runs the tests of a folder with the packages, against a control plane that the recipe leads to.
    private func run(_ packages: [String], in folder: String, _ recipe: Recipe) async throws {
        // Weaker rungs have one loopback for all, so that sandboxes would share port 49999.
        try await CLI.with(.namespaces) { cli in
            let python = try await Self.environment(packages, cli)
            if recipe == .domain { try await cli.succeed("tls") }
            let server = try await cli.serve(environment: ["BERTH_MAX_SANDBOXES": "50"])
            let tests = "\(Machine.checkout)/Tests/CommandsTests/E2B/\(folder)"
            let command = try Command(
                python, ["-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", tests],
                environment: try Self.environment(recipe, cli), folder: tests)
            let outcome = await command.outcome()
            #expect(outcome.status == 0, "\(outcome.all.suffix(6_000))")
            #expect(outcome.stdout.contains(" passed"))
            // Each test kills what it made.
            #expect(cli.noteSandboxes() == [])
            server.signal(SIGTERM)
            _ = await server.outcome()
        }
    }

    /// Exactly what a user of the SDK has to set.
    private static func environment(_ recipe: Recipe, _ cli: CLI) throws -> [String: String] {
        let endpoint = try cli.endpoint()
        var environment = cli.environment.filter { !$0.key.hasPrefix("BERTH_") }
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
        environment["E2B_API_KEY"] = try String(contentsOfFile: "\(cli.home)/e2b.key", encoding: .utf8)
        switch recipe {
        case .addresses:
            let address = "http://127.0.0.1:\(try #require(endpoint.e2bPort))"
            environment["E2B_API_URL"] = address
            environment["E2B_SANDBOX_URL"] = address
            environment["E2B_VOLUME_API_URL"] = address
        case .domain:
            environment["E2B_DOMAIN"] = "sbx.localhost:\(try #require(endpoint.e2bTLSPort))"
            environment["SSL_CERT_FILE"] = "\(cli.home)/tls/ca.pem"
        }
        return environment
    }

    /// A Python with the packages, made once and kept beside the build.
    private static func environment(_ packages: [String], _ cli: CLI) async throws -> String {
        let name = packages.joined(separator: "_").filter { $0.isLetter || $0.isNumber || $0 == "_" }
        let folder = "\(Machine.buildFolder)/commands-tests/\(name)"
        if FileManager.default.fileExists(atPath: folder) { return "\(folder)/bin/python" }
        let uv = try #require(Machine.find("uv"))
        let draft = "\(folder).tmp-\(getpid())"
        for arguments in [
            ["venv", "-q", "--clear", "--relocatable", draft],
            ["pip", "install", "-q", "--python", "\(draft)/bin/python"] + packages,
        ] {
            let outcome = await (try Command(uv, arguments, environment: cli.environment, folder: cli.folder)).outcome()
            try #require(outcome.status == 0, "\(outcome.all)")
        }
        try FileManager.default.moveItem(atPath: draft, toPath: folder)
        return "\(folder)/bin/python"
    }
}
