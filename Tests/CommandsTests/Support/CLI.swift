import BerthTestSupport
import ControlAPI
import ControlPlane
import CurlClient
import DeploymentCore
import Foundation
import Testing

/// A user with a home of their own: runs `berth`, asks the gateway, and leaves nothing.
struct CLI: Sendable {
    /// `BERTH_HOME`.
    let home: String
    /// A folder for manifests.
    let folder: String
    let environment: [String: String]
    private let curl: CurlClient
    private let sandboxes = Locked<Set<String>>([])

    /// Runs `body` with a fresh home, takes everything down, and fails on whatever is left.
    ///
    /// - Parameter isolation: the rung; nil takes the strongest that works here.
    static func with(_ isolation: Isolation? = nil, _ body: (CLI) async throws -> Void) async throws {
        if let isolation { try await Machine.require(isolation) }
        await Slots.shared.take()
        do {
            try await withTemporaryFolder { folder in
                let cli = try CLI(folder.dropSlash, isolation)
                defer { cli.curl.close() }
                do {
                    try await body(cli)
                } catch {
                    _ = try await cli("down")
                    throw error
                }
                let down = try await cli("down")
                #expect(down.status == 0, "\(down.all)")
                #expect(cli.leaks() == [])
            }
        } catch {
            await Slots.shared.give()
            throw error
        }
        await Slots.shared.give()
    }

    private init(_ root: String, _ isolation: Isolation?) throws {
        home = "\(root)/home"
        folder = "\(root)/work"
        curl = CurlClient()
        // Packages are installed once for all tests and all runs: content-addressed, beside the build.
        let shared = "\(Machine.buildFolder)/commands-tests"
        let files = FileManager.default
        for path in ["\(home)/cache", folder, "\(shared)/packages", "\(shared)/environments"] {
            try files.createDirectory(
                atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        }
        try files.createSymbolicLink(atPath: "\(home)/cache/packages", withDestinationPath: "\(shared)/packages")
        try files.createSymbolicLink(atPath: "\(home)/environments", withDestinationPath: "\(shared)/environments")
        var environment = ProcessInfo.processInfo.environment.filter {
            !$0.key.hasPrefix("BERTH_") && !$0.key.hasPrefix("E2B_")
        }
        environment["BERTH_HOME"] = home
        environment["BERTH_API_PORT"] = "0"
        environment["BERTH_GATEWAY_PORT"] = "0"
        environment["BERTH_E2B_PORT"] = "0"
        environment["BERTH_E2B_TLS_PORT"] = "0"
        environment["BERTH_AGENT"] = "\(Machine.buildFolder)/berth-agent"
        environment["BERTH_TEMPLATES"] = "\(Machine.checkout)/templates"
        // Only where a test is about them: they take a processor after every deploy.
        environment["BERTH_STANDBYS"] = "0"
        environment["BERTH_ISOLATION"] = isolation?.rawValue
        self.environment = environment
    }

    // MARK: commands

    /// Runs `berth` to its end.
    @discardableResult
    func callAsFunction(
        _ arguments: String..., in folder: String? = nil, environment extra: [String: String] = [:]
    ) async throws -> Command.Outcome {
        try await finish(start(arguments, in: folder, environment: extra))
    }

    /// Runs `berth`, which has to succeed.
    @discardableResult
    func succeed(
        _ arguments: String..., in folder: String? = nil, environment extra: [String: String] = [:],
        at location: SourceLocation = #_sourceLocation
    ) async throws -> Command.Outcome {
        let outcome = try await finish(start(arguments, in: folder, environment: extra))
        try #require(outcome.status == 0 && outcome.signal == nil, "\(outcome.all)", sourceLocation: location)
        return outcome
    }

    /// Starts `berth`, or another program of the build.
    func start(
        _ arguments: [String], program: String = "berth", in folder: String? = nil,
        environment extra: [String: String] = [:], input: String? = nil
    ) throws -> Command {
        try Command(
            "\(Machine.buildFolder)/\(program)", arguments, environment: environment.merging(extra) { $1 },
            folder: folder ?? self.folder, input: input)
    }

    /// Runs `berth exec` with a file as its input.
    func exec(
        _ name: String, options: [String] = [], input: String? = nil, _ command: String...
    ) async throws -> Command.Outcome {
        try await finish(start(["exec", name] + options + ["--"] + command, input: input))
    }

    /// Waits for a command and notes the sandboxes that it made.
    func finish(_ command: Command) async -> Command.Outcome {
        let outcome = await command.outcome()
        noteSandboxes()
        let lines = outcome.stderr.matches(of: /(?:namespaces|landlock|process), ([a-z0-9]{16})/).map { String($0.1) }
        sandboxes.withLock { $0.formUnion(lines) }
        return outcome
    }

    /// A control plane in the foreground, once it answers.
    func serve(environment extra: [String: String] = [:]) async throws -> Command {
        let server = try start(["serve"], environment: extra)
        try await server.says("serves: gateway")
        return server
    }

    // MARK: looking

    /// The JSON that a verb prints.
    func json<Value: Decodable>(_ type: Value.Type, _ arguments: String...) async throws -> Value {
        let outcome = try await finish(start(arguments + ["--output", "json"]))
        try #require(outcome.status == 0, "\(outcome.all)")
        return try JSONDecoder().decode(type, from: Data(outcome.stdout.utf8))
    }

    func status(_ name: String) async throws -> DeploymentResource {
        try await json(DeploymentResource.self, "status", name)
    }

    /// The status once nothing of the deployment is being started any more; bounded by the launch's own deadlines.
    func settled(_ name: String) async throws -> DeploymentResource {
        var status = try await status(name)
        while ["starting", "restarting", "waking"].contains(status.state) { status = try await self.status(name) }
        return status
    }

    /// Where the control plane listens.
    func endpoint() throws -> Endpoint {
        let data = try Data(contentsOf: URL(fileURLWithPath: "\(home)/server.json"))
        return try JSONDecoder().decode(Endpoint.self, from: data)
    }

    /// Sends JSON, or nothing, to a path of the gateway.
    func ask(
        _ path: String, _ body: String? = nil, headers: [(name: String, value: String)] = []
    ) async throws -> Answer {
        let bytes = body.map { Array($0.utf8) }
        let request = HTTPRequest(
            method: body == nil ? "GET" : "POST", url: "http://127.0.0.1:\(try endpoint().gatewayPort)/\(path)",
            headers: headers + [(name: "Content-Type", value: "application/json")],
            body: bytes.map { .bytes($0) } ?? .none, timeout: .seconds(60), transport: .network(.loopback))
        let reply = try await curl.send(request)
        return Answer(
            status: reply.status, revision: reply.headers["X-Berth-Revision"],
            retryAfter: reply.headers["Retry-After"], text: String(decoding: reply.body, as: UTF8.self))
    }

    /// What the gateway answered.
    struct Answer: Sendable {
        var status: Int
        var revision: String?
        var retryAfter: String?
        var text: String

        func json() throws -> JSONValue { try JSONValue(parsing: Array(text.utf8)) }
    }

    /// The ids of the sandboxes that exist now.
    @discardableResult
    func noteSandboxes() -> [String] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "\(home)/sandboxes")) ?? []
        let found = names.filter { !$0.hasPrefix(".") }
        sandboxes.withLock { $0.formUnion(found) }
        return found
    }

    /// What is there of sandboxes, by all their traces.
    func remains() -> [String] {
        let known = sandboxes.withLock { $0 }.sorted()
        return LeakAudit(root: "\(home)/sandboxes", sandboxes: known).findings()
    }

    /// What a stopped control plane has left: sandboxes, and processes that know the home.
    func leaks() -> [String] {
        remains() + processes(of: home).map { "process \($0) still has BERTH_HOME=\(home)" }
    }

    private func processes(of home: String) -> [String] {
        let entries = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        let wanted = Array("BERTH_HOME=\(home)".utf8)
        return entries.filter { entry in
            guard let pid = Int32(entry), pid != getpid() else { return false }
            let environment = FileManager.default.contents(atPath: "/proc/\(pid)/environ") ?? Data()
            return environment.split(separator: 0).contains { Array($0) == wanted }
        }
    }

    /// The processes that were started for a sandbox.
    func processes(ofSandbox id: String) -> [Int32] {
        let entries = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        let wanted = Array("BERTH_SANDBOX=\(id)".utf8)
        return entries.compactMap(Int32.init).filter { pid in
            let environment = FileManager.default.contents(atPath: "/proc/\(pid)/environ") ?? Data()
            return environment.split(separator: 0).contains { Array($0) == wanted }
        }
    }

    // MARK: files

    /// Writes a file into the work folder; returns its path.
    @discardableResult
    func write(_ path: String, _ text: String) throws -> String {
        let url = URL(fileURLWithPath: "\(folder)/\(path)")
        try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        try text.write(to: url, atomically: true, encoding: .utf8)
        return url.path(percentEncoded: false)
    }

    /// Copies folders of the checkout into the work folder, so that what is committed stays as it is.
    func copy(_ folders: String...) throws {
        // What a manifest may reach ends at the root of the repository.
        try FileManager.default.createDirectory(atPath: "\(folder)/.git", withIntermediateDirectories: true)
        for name in folders {
            try FileManager.default.copyItem(atPath: "\(Machine.checkout)/\(name)", toPath: "\(folder)/\(name)")
        }
    }
}
