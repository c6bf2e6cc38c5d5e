import BerthTestSupport
import DeploymentCore
import Foundation
import Sandboxes
import Waiting

@testable import Orchestration

/// The effects of a rollout on its provider.
enum Effect: String, Sendable, CaseIterable {
    case create
    case write
    case start
}

/// How an effect goes wrong.
enum Fault: String, Sendable, CaseIterable {
    case failsBefore
    case failsAfter
    /// Never returns until it is cancelled.
    case hangs
}

/// A provider whose sandboxes are local HTTP servers, which can be told to go wrong.
final class ScriptedProvider: SandboxProvider {
    struct Failure: Error, CustomStringConvertible {
        let effect: Effect
        var description: String { "scripted failure of \(effect.rawValue)" }
    }

    private struct State {
        var sandboxes: [String: ScriptedSandbox] = [:]
        var labels: [String: SandboxLabels] = [:]
        var created = 0
        var yielding: [Bool] = []
        var fault: (effect: Effect, fault: Fault)?
        var health = #"{"status":"healthy","model_loaded":true}"#
        var prediction = #"{"success":true,"prediction":[3]}"#
        var destroyFault: Fault?
        var limits: [ExceededLimit] = []
        var installation: (output: String, status: ExitStatus) = ("Installed 1 package\n", .exited(code: 0))
    }

    let name: String
    let showsHostFolders: Bool
    private let state = Locked(State())
    /// Told whenever an effect hangs.
    let hanging = Gate()

    init(name: String = "scripted", showsHostFolders: Bool = true) {
        self.name = name
        self.showsHostFolders = showsHostFolders
    }

    /// How the installation of packages ends, and what it prints before.
    func set(installation: (output: String, status: ExitStatus)) { state.withLock { $0.installation = installation } }
    var installation: (output: String, status: ExitStatus) { state.withLock(\.installation) }

    func set(_ effect: Effect, _ fault: Fault) { state.withLock { $0.fault = (effect, fault) } }
    func set(health: String) { state.withLock { $0.health = health } }
    func set(prediction: String) { state.withLock { $0.prediction = prediction } }
    /// What the sandboxes ran into.
    func set(limits: [ExceededLimit]) { state.withLock { $0.limits = limits } }
    var limits: [ExceededLimit] { state.withLock(\.limits) }
    /// How destroying goes wrong from now on.
    func setDestroy(_ fault: Fault) { state.withLock { $0.destroyFault = fault } }
    func heal() {
        state.withLock { state in
            state.fault = nil
            state.destroyFault = nil
        }
    }

    var live: [String] { state.withLock { $0.sandboxes.keys.sorted() } }
    var created: Int { state.withLock(\.created) }
    /// Whether each sandbox that was asked for was to give way to its neighbours.
    var yielding: [Bool] { state.withLock(\.yielding) }
    func sandbox(_ id: String) -> ScriptedSandbox? { state.withLock { $0.sandboxes[id] } }

    func capabilities(demanding minimum: Isolation?) async throws -> SandboxCapabilities {
        try Isolation.namespaces.require(minimum)
        return SandboxCapabilities(isolation: .namespaces, mounts: showsHostFolders, ownNetwork: true)
    }

    func create(_ specification: SandboxSpecification) async throws -> any Sandbox {
        state.withLock { $0.yielding.append(specification.isYielding) }
        try await go(wrong: .create, .failsBefore)
        let (health, prediction) = state.withLock { ($0.health, $0.prediction) }
        let sandbox = try ScriptedSandbox(
            id: specification.id, nonce: specification.labels.nonce, health: health, prediction: prediction,
            provider: self)
        state.withLock { state in
            state.sandboxes[sandbox.id] = sandbox
            state.labels[sandbox.id] = specification.labels
            state.created += 1
        }
        try await go(wrong: .create, .failsAfter)
        return sandbox
    }

    func list() async throws -> [SandboxRecord] {
        state.withLock { state in
            state.sandboxes.keys.sorted().compactMap { id in
                state.labels[id].map { SandboxRecord(id: id, labels: $0, isAlive: true) }
            }
        }
    }

    func adopt(_ id: String) async throws -> any Sandbox {
        guard let sandbox = sandbox(id) else { throw BerthError(.notFound, "no sandbox \(id)") }
        return sandbox
    }

    func assign(
        _ id: String, labels: SandboxLabels, models: [SandboxSpecification.Mount]
    ) async throws -> [String: String] {
        state.withLock { $0.labels[id] = labels }
        return [:]
    }

    func destroy(_ id: String) async throws {
        let fault = state.withLock { $0.destroyFault }
        if fault == .failsBefore { throw BerthError(.sandbox, "scripted failure of destroy") }
        if fault == .hangs {
            hanging.open()
            try await Task.sleep(for: .seconds(3_600))
        }
        let sandbox = state.withLock { $0.sandboxes.removeValue(forKey: id) }
        sandbox?.end(.signalled(9))
        if fault == .failsAfter { throw BerthError(.sandbox, "scripted failure after destroy") }
    }

    /// Goes wrong when the script says so, at this moment of this effect.
    func go(wrong effect: Effect, _ moment: Fault) async throws {
        guard let scripted = state.withLock({ $0.fault }), scripted.effect == effect else { return }
        if scripted.fault == moment { throw Failure(effect: effect) }
        if scripted.fault == .hangs, moment == .failsBefore {
            hanging.open()
            try await Task.sleep(for: .seconds(3_600))
        }
    }
}

/// A sandbox that is a local HTTP server.
final class ScriptedSandbox: Sandbox {
    let id: String
    let appFolder = "/app"
    let port = 49_999
    let isolation = Isolation.namespaces
    private let server: ScriptedHTTPServer
    private let provider: ScriptedProvider
    private let readers = Locked<[AsyncThrowingStream<SandboxProcessEvent, any Error>.Continuation]>([])
    private let files = Locked<[String: [UInt8]]>([:])

    init(id: String, nonce: String, health: String, prediction: String, provider: ScriptedProvider) throws {
        self.id = id
        self.provider = provider
        server = try ScriptedHTTPServer { request in
            let headers = [("X-Berth-Revision", nonce), ("Content-Type", "application/json")]
            return ScriptedAnswer(200, headers: headers, request.path == "/health" ? health : prediction)
        }
    }

    /// What was started in it, in order.
    let started = Locked<[ProcessSpecification]>([])
    /// What a standby says when it has imported what it was told.
    static let standbyAnswer = Array("{\"berth_standby\": 1, \"threads\": 1}\n".utf8)
    /// What was written to its processes, in order.
    let input = Locked<[String]>([])
    private let frozen = Locked(false)
    var isPaused: Bool { frozen.withLock { $0 } }
    func pause() async throws { frozen.withLock { $0 = true } }
    func resume() async throws { frozen.withLock { $0 = false } }
    /// How often its network was closed behind an installation.
    let sealed = Locked(0)
    func seal() async throws { sealed.withLock { $0 += 1 } }
    /// What it uses.
    let usage = Locked(
        SandboxStatistics(cpuSeconds: 0, memoryBytes: 1, diskBytes: 1, processes: 1, uptimeSeconds: 1))
    func statistics() async throws -> SandboxStatistics { usage.withLock { $0 } }
    func upload(
        _ file: String, length: Int64, to path: String, executable: Bool, timeout: Duration,
        progress: @escaping @Sendable (Int64) -> Void
    ) async throws {
        files.withLock { $0[path] = FileManager.default.contents(atPath: file).map { Array($0) } }
        progress(length)
    }

    var written: [String] { files.withLock { $0.keys.sorted() } }

    /// The app ends; with a destroyed sandbox the server closes too.
    func end(_ status: ExitStatus) {
        for reader in readers.withLock({ $0 }) {
            reader.yield(.stderr(Array("Traceback: scripted end\n".utf8)))
            reader.yield(.ended(status))
            reader.finish()
        }
        server.close()
    }

    /// A process that runs until the app ends, or has said all that it has to say.
    private func makeProcess(_ pid: Int = 7, _ said: [SandboxProcessEvent] = []) -> ScriptedProcess {
        let (events, reader) = AsyncThrowingStream<SandboxProcessEvent, any Error>.makeStream()
        for event in said { reader.yield(event) }
        if case .ended = said.last { reader.finish() } else { readers.withLock { $0.append(reader) } }
        return ScriptedProcess(pid: pid, events: events, reader: reader, input: input)
    }

    func path(of mount: SandboxSpecification.Mount) -> String { mount.target }
    func write(_ bytes: [UInt8], to path: String, executable: Bool) async throws {
        try await provider.go(wrong: .write, .failsBefore)
        files.withLock { $0[path] = bytes }
        try await provider.go(wrong: .write, .failsAfter)
    }
    func read(_ path: String, limit: Int) async throws -> [UInt8] { files.withLock { $0[path] } ?? [] }
    func start(_ process: ProcessSpecification) async throws -> any SandboxProcess {
        try await provider.go(wrong: .start, .failsBefore)
        try await provider.go(wrong: .start, .failsAfter)
        started.withLock { $0.append(process) }
        switch process.tag {
        case SandboxInstallation.tag:
            let installation = provider.installation
            return makeProcess(6, [.stdout(Array(installation.output.utf8)), .ended(installation.status)])
        case Replica.processTag where process.keepsInputOpen:
            return makeProcess(8, [.stdout(Self.standbyAnswer)])
        default: return makeProcess()
        }
    }
    func process(tagged tag: String) async throws -> any SandboxProcess { makeProcess() }
    func connect(port: Int) async throws -> Int32 { try server.connect() }
    func exceededLimits() async -> [ExceededLimit] { provider.limits }
    func listeners() async throws -> [Listener] {
        [Listener(address: "127.0.0.1", port: port, pid: 7, tag: Replica.processTag)]
    }
}

struct ScriptedProcess: SandboxProcess {
    let pid: Int
    let events: AsyncThrowingStream<SandboxProcessEvent, any Error>
    let reader: AsyncThrowingStream<SandboxProcessEvent, any Error>.Continuation
    let input: Locked<[String]>
    func signal(_ signal: Int32) async throws {}
    /// Takes a message; as a standby it imports what it is told, and ends at a module named `fatal`.
    func write(_ bytes: [UInt8]) async throws {
        let text = String(decoding: bytes, as: UTF8.self)
        input.withLock { $0.append(text) }
        guard text.hasPrefix("{\"imports\":[\"") else { return }
        let isFatal = text.contains("\"fatal\"")
        reader.yield(isFatal ? .ended(.exited(code: 3)) : .stdout(ScriptedSandbox.standbyAnswer))
    }
    func closeInput() async throws {}
    func resize(_ size: TerminalSize) async throws {}
}

/// Something that happens once and that many may wait for.
final class Gate: Sendable {
    private let promise = Promise<Bool>()
    func open() { promise.fulfil(true) }
    var isOpen: Bool { promise.current != nil }
    func wait() async { _ = await promise.wait() }
}
