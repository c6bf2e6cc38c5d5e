import BerthTestSupport
import CurlClient
import DeploymentCore
import Foundation
import Glibc
import Sandboxes
import Testing

@testable import LocalSandbox

/// What this machine has.
enum Machine {
    /// The agent beside the test executable, or where `BERTH_TEST_AGENT` says.
    static let agent: String? = {
        let given = ProcessInfo.processInfo.environment["BERTH_TEST_AGENT"]
        let own = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let beside = own.map { ($0 as NSString).deletingLastPathComponent + "/berth-agent" }
        return [given, beside].compactMap { $0 }.first { access($0, X_OK) == 0 }
    }()
    static let hasAgent = agent != nil
    static let trial = NamespaceTrial.cached(BubblewrapCommand.find())
    /// The ids that sandboxes get here.
    static let identities = IdentityOffer.cached(BubblewrapCommand.find())
    static let hasPython = access("/usr/bin/python3", X_OK) == 0
    /// The rungs that can be tested here.
    static let rungs: [Isolation] =
        [.process] + (confinement?.works == true ? [.landlock] : []) + (trial.works ? [.namespaces] : [])
    /// Those and gVisor where it runs, for what has to hold on every rung; it takes a second for each sandbox.
    static let everyRung = rungs + (gvisor.works && hasAgent ? [.gvisor] : [])
    /// `BERTH_TEST_RUNSC` names another runsc than the installed one.
    static let runsc = ProcessInfo.processInfo.environment["BERTH_TEST_RUNSC"] ?? GvisorCommand.find()
    static let gvisor = GvisorTrial.cached(bubblewrap: BubblewrapCommand.find(), runsc: runsc)
    static let confinement = agent.map { LandlockTrial.cached($0) }
}

/// Skips what needs namespaces, with the reason that the trial found.
let needsNamespaces = ConditionTrait.enabled(
    if: Machine.trial.works && Machine.hasAgent, "needs berth-agent and namespaces: \(Machine.trial.detail)")
/// Skips what needs ids of a sandbox's own, with the reason that the trial found.
let needsIdentities = ConditionTrait.enabled(
    if: Machine.trial.works && Machine.hasAgent && Machine.identities.grant != nil,
    "needs ids of a sandbox's own: \(Machine.identities.detail)")
let needsGvisor = ConditionTrait.enabled(
    if: Machine.gvisor.works && Machine.hasAgent, "needs berth-agent and gVisor: \(Machine.gvisor.detail)")
let needsAgent = ConditionTrait.enabled(if: Machine.hasAgent, "berth-agent is not built")
let needsPython = ConditionTrait.enabled(if: Machine.hasPython, "needs /usr/bin/python3")

/// A provider in a fresh folder.
struct Engine: Sendable {
    let folder: String
    let provider: LocalProvider
    let client: CurlClient
    private let ids = Locked<[String]>([])

    init(
        folder: String, isolation: Isolation, agent: String, client: CurlClient, bubblewrap: String?,
        gate: (any EgressGate)? = nil,
        enforcement: @escaping @Sendable (Isolation) -> LimitEnforcement = LimitEnforcement.cached,
        identities: @escaping @Sendable () -> IdentityOffer = { Machine.identities }
    ) {
        self.folder = folder
        self.client = client
        provider = LocalProvider(
            folder: folder, agent: agent, isolation: isolation, client: client, announce: { _ in },
            gate: gate, bubblewrap: bubblewrap, enforcement: enforcement, identities: identities, runsc: Machine.runsc)
    }

    /// A second provider on the same folder, as a restarted control plane has.
    func restarted(gate: (any EgressGate)? = nil) -> LocalProvider {
        LocalProvider(folder: folder, agent: "/nonexistent", isolation: nil, client: client, gate: gate)
    }

    func specification(
        _ mounts: [SandboxSpecification.Mount] = [], network: NetworkAccess? = nil
    ) -> SandboxSpecification {
        let id = "t" + UUID().uuidString.filter { $0 != "-" }.lowercased().prefix(20)
        ids.withLock { $0.append(id) }
        let labels = SandboxLabels(deployment: "demo", nonce: "nonce-\(id)", rollout: "rollout-\(id)")
        return SandboxSpecification(id: id, labels: labels, mounts: mounts, network: network)
    }

    func sandbox(_ mounts: [SandboxSpecification.Mount] = []) async throws -> any Sandbox {
        try await provider.create(specification(mounts))
    }

    /// What is left of all sandboxes that were asked for.
    func leaks() -> [String] { LeakAudit(root: folder, sandboxes: ids.withLock { $0 }).findings() }

    func destroyAll() async throws {
        for id in ids.withLock({ $0 }) { try await provider.destroy(id) }
    }
}

/// Runs `body` with an engine, destroys what it made and checks that nothing is left.
func withEngine(
    _ isolation: Isolation, agent: String? = Machine.agent, bubblewrap: String? = BubblewrapCommand.find(),
    gate: (any EgressGate)? = nil,
    enforcement: @escaping @Sendable (Isolation) -> LimitEnforcement = LimitEnforcement.cached,
    identities: @escaping @Sendable () -> IdentityOffer = { Machine.identities },
    _ body: (Engine) async throws -> Void
) async throws {
    let agent = try #require(agent)
    try await withTemporaryFolder { parent in
        let client = CurlClient()
        defer { client.close() }
        let folder = (parent.hasSuffix("/") ? String(parent.dropLast()) : parent) + "/sandboxes"
        let engine = Engine(
            folder: folder, isolation: isolation, agent: agent, client: client, bubblewrap: bubblewrap,
            gate: gate, enforcement: enforcement, identities: identities)
        do {
            try await body(engine)
        } catch {
            try await engine.destroyAll()
            throw error
        }
        try await engine.destroyAll()
        #expect(engine.leaks() == [])
    }
}

/// Ours; swift-testing has one of the same name.
typealias EndStatus = DeploymentCore.ExitStatus

/// What a process wrote and how it ended.
struct Output: Equatable {
    var stdout = ""
    var stderr = ""
    var status: EndStatus?
}

func output(of process: any SandboxProcess) async throws -> Output {
    var output = Output()
    for try await event in process.events {
        switch event {
        case .stdout(let bytes): output.stdout += String(decoding: bytes, as: UTF8.self)
        case .stderr(let bytes): output.stderr += String(decoding: bytes, as: UTF8.self)
        case .ended(let status): output.status = status
        }
    }
    return output
}

/// Reads events until a line is complete that contains `text`.
func waitForLine(_ text: String, from process: any SandboxProcess) async throws {
    var seen = ""
    for try await event in process.events {
        switch event {
        case .stdout(let bytes), .stderr(let bytes): seen += String(decoding: bytes, as: UTF8.self)
        case .ended(let status): throw BerthError(.startFailed, "ended with \(status): \(seen)")
        }
        if seen.contains(text) { return }
    }
}

extension Sandbox {
    /// Runs a shell script to its end.
    func shell(_ script: String, environment: [String: String] = [:]) async throws -> Output {
        try await output(
            of: start(ProcessSpecification(tag: "shell", command: ["/bin/sh", "-c", script], environment: environment)))
    }

    /// Starts a server that answers every request with `answer`, and waits until it listens.
    ///
    /// - Parameter value: a Python expression whose value it holds.
    func serve(
        _ answer: String, tag: String = "app", keeping value: String = "None"
    ) async throws -> any SandboxProcess {
        let script = """
            import http.server, os
            kept = \(value)
            class Handler(http.server.BaseHTTPRequestHandler):
                def do_GET(self):
                    body = \(String(reflecting: answer)).encode()
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                def log_message(self, *arguments): pass
            server = http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler)
            print("listening", flush=True)
            server.serve_forever()
            """
        let process = try await start(
            ProcessSpecification(
                tag: tag, command: ["/usr/bin/python3", "-c", script], environment: ["PORT": "\(port)"]))
        try await waitForLine("listening\n", from: process)
        return process
    }

    /// Asks the server in the sandbox.
    func ask(_ client: CurlClient) async throws -> String {
        let socket = try await connect(port: port)
        let reply = try await client.send(HTTPRequest(url: "http://127.0.0.1/", transport: .connected(socket)))
        return String(decoding: reply.body, as: UTF8.self)
    }
}
