import BerthTestSupport
import CurlClient
import DeploymentCore
import Foundation
import Sandboxes
import Waiting

/// What a host does to the world.
enum Effect: String, Sendable, CaseIterable {
    case create, introduce, pause, resume, destroy, permit, adopt, measure
    /// What is done to files.
    case keep, release
}

/// How an effect goes wrong.
enum Fault: String, Sendable, CaseIterable {
    case failsBefore, failsAfter
    /// Never returns until it is cancelled.
    case hangs
}

/// An engine without a machine: sandboxes are entries of a table, with one scripted agent for all of them.
final class ScriptedEngine: SandboxProvider {
    struct State {
        var sandboxes: [String: ScriptedSandbox] = [:]
        var specifications: [SandboxSpecification] = []
        var faults: [Effect: Fault] = [:]
        var error = BerthError(.sandbox, "scripted failure")
        var done: [String] = []
        var introductions: [JSONValue] = []
        var network = NetworkEnforcement.filtered
        var enforced = EnforcedLimits.nothing
    }

    let name = "scripted"
    let state = Locked(State())
    /// Told whenever an effect hangs.
    let hanging = Signal()
    private let agent: ScriptedHTTPServer
    private let socket: String
    private let curl: CurlClient

    init(folder: String, curl: CurlClient) throws {
        self.curl = curl
        socket = "\(folder)/agent.sock"
        let state = state
        let hanging = hanging
        agent = try ScriptedHTTPServer(unixPath: socket) { (connection: ScriptedConnection) in
            while let request = connection.readRequest() {
                var answer = ScriptedAnswer(204)
                if request.path == "/init" {
                    let fault = state.withLock { $0.faults[.introduce] }
                    if fault == .hangs {
                        hanging.notify()
                        return connection.awaitClose()
                    }
                    if fault != .failsBefore, let body = try? JSONValue(parsing: request.body) {
                        state.withLock { $0.introductions.append(body) }
                    }
                    if fault != nil { answer = ScriptedAnswer(500, #"{"code":500,"message":"scripted"}"#) }
                } else if request.path.hasPrefix("/files") {
                    answer = ScriptedAnswer(200, "[]")
                }
                guard connection.send(answer, to: request) else { return }
            }
        }
    }

    func close() { agent.close() }

    func fail(_ effect: Effect, _ fault: Fault?) { state.withLock { $0.faults[effect] = fault } }
    func heal() { state.withLock { $0.faults = [:] } }
    var live: [String] { state.withLock { $0.sandboxes.keys.sorted() } }
    var done: [String] { state.withLock(\.done) }
    func sandbox(_ id: String) -> ScriptedSandbox? { state.withLock { $0.sandboxes[id] } }

    /// Puts a sandbox there that no host made.
    func plant(_ id: String, rollout: String = SandboxLabels.hosted, isPaused: Bool = false, isAlive: Bool = true) {
        let sandbox = makeSandbox(id, rollout)
        sandbox.state.withLock {
            $0.isPaused = isPaused
            $0.isAlive = isAlive
        }
        state.withLock { $0.sandboxes[id] = sandbox }
    }

    private func makeSandbox(_ id: String, _ rollout: String) -> ScriptedSandbox {
        ScriptedSandbox(
            id: id, rollout: rollout, engine: self,
            agent: EnvdClient(client: curl, baseURL: "http://localhost", transport: .unixSocket(socket)))
    }

    /// Does an effect, going wrong where the script says so.
    func run(_ effect: Effect, _ id: String, _ body: () throws -> Void) async throws {
        let (fault, error) = state.withLock { ($0.faults[effect], $0.error) }
        if fault == .failsBefore { throw error }
        if fault == .hangs {
            hanging.notify()
            try await Task.sleep(for: .seconds(3_600))
        }
        try body()
        state.withLock { $0.done.append("\(effect.rawValue) \(id)") }
        if fault == .failsAfter { throw error }
    }

    func capabilities(demanding minimum: Isolation?) async throws -> SandboxCapabilities {
        let (network, enforced) = state.withLock { ($0.network, $0.enforced) }
        return SandboxCapabilities(
            isolation: .namespaces, mounts: true, ownNetwork: true, enforced: enforced, network: network)
    }

    func create(_ specification: SandboxSpecification) async throws -> any Sandbox {
        let sandbox = makeSandbox(specification.id, specification.labels.rollout)
        do {
            try await run(.create, specification.id) {
                state.withLock { state in
                    state.sandboxes[specification.id] = sandbox
                    state.specifications.append(specification)
                }
            }
        } catch {
            // As every provider has to: on an error nothing is left.
            state.withLock { _ = $0.sandboxes.removeValue(forKey: specification.id) }
            throw error
        }
        return sandbox
    }

    func list() async throws -> [SandboxRecord] {
        state.withLock { state in
            state.sandboxes.values.map { sandbox in
                let known = sandbox.state.withLock { $0 }
                return SandboxRecord(
                    id: sandbox.id, labels: SandboxLabels(deployment: "", nonce: "", rollout: sandbox.rollout),
                    isAlive: known.isAlive, isPaused: known.isPaused)
            }
        }
    }

    func adopt(_ id: String) async throws -> any Sandbox {
        try await run(.adopt, id) {}
        guard let sandbox = sandbox(id) else { throw BerthError(.notFound, "there is no sandbox \(id)") }
        return sandbox
    }

    func assign(
        _ id: String, labels: SandboxLabels, models: [SandboxSpecification.Mount]
    ) async throws -> [String: String] { [:] }

    func destroy(_ id: String) async throws {
        try await run(.destroy, id) { state.withLock { _ = $0.sandboxes.removeValue(forKey: id) } }
    }
}

/// A sandbox that is an entry of a table.
final class ScriptedSandbox: Sandbox {
    struct State {
        var isPaused = false
        var isAlive = true
        var access: NetworkAccess?
        var cpuSeconds = 1.0
    }

    let id: String
    let rollout: String
    let appFolder = "/home/user/app"
    let port = 49_999
    let isolation = Isolation.namespaces
    let agent: EnvdClient?
    let state = Locked(State())
    private unowned let engine: ScriptedEngine

    init(id: String, rollout: String, engine: ScriptedEngine, agent: EnvdClient) {
        self.id = id
        self.rollout = rollout
        self.engine = engine
        self.agent = agent
    }

    var isPaused: Bool { state.withLock(\.isPaused) }

    func pause() async throws {
        try await engine.run(.pause, id) {
            try requireAlive()
            state.withLock { $0.isPaused = true }
        }
    }
    func resume() async throws {
        try await engine.run(.resume, id) {
            try requireAlive()
            state.withLock { $0.isPaused = false }
        }
    }
    func permit(_ access: NetworkAccess) async throws {
        try await engine.run(.permit, id) { state.withLock { $0.access = access } }
    }
    func statistics() async throws -> SandboxStatistics {
        try await engine.run(.measure, id) { try requireAlive() }
        return SandboxStatistics(
            cpuSeconds: state.withLock(\.cpuSeconds), memoryBytes: 5 << 20, memoryCacheBytes: 1 << 20,
            memoryLimitBytes: 512 << 20,
            diskBytes: 4_096, processes: 2, uptimeSeconds: 10)
    }
    private func requireAlive() throws {
        guard state.withLock(\.isAlive) else { throw BerthError(.notFound, "sandbox \(id) has ended") }
    }

    func path(of mount: SandboxSpecification.Mount) -> String { mount.target }
    func write(_ bytes: [UInt8], to path: String, executable: Bool) async throws {}
    func read(_ path: String, limit: Int) async throws -> [UInt8] { [] }
    func start(_ process: ProcessSpecification) async throws -> any SandboxProcess {
        throw BerthError(.sandbox, "nothing is started here")
    }
    func process(tagged tag: String) async throws -> any SandboxProcess {
        throw BerthError(.notFound, "nothing runs here")
    }
    func connect(port: Int) async throws -> Int32 { throw PortRefused(port: port) }
    func listeners() async throws -> [Listener] { [] }
}
