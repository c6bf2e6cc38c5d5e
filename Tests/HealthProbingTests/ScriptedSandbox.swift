import BerthTestSupport
import DeploymentCore
import Sandboxes

/// A sandbox whose ports are scripted servers on this machine.
final class ScriptedSandbox: Sandbox {
    let id = "scripted"
    let appFolder = "/home/user/app"
    let port = 49_999
    let isolation = Isolation.namespaces

    private struct State {
        var server: ScriptedHTTPServer?
        var connectFailure: BerthError?
        var listeners: Result<[Listener], BerthError> = .success([])
        var connects = 0
        var isPaused = false
    }

    private let state = Locked(State())

    init(_ server: ScriptedHTTPServer? = nil, listeners: [Listener] = []) {
        state.withLock {
            $0.server = server
            $0.listeners = .success(listeners)
        }
    }

    /// What the app's port leads to; nil refuses.
    func serve(_ server: ScriptedHTTPServer?) { state.withLock { $0.server = server } }
    func fail(connecting error: BerthError?) { state.withLock { $0.connectFailure = error } }
    func list(_ listeners: Result<[Listener], BerthError>) { state.withLock { $0.listeners = listeners } }
    var connects: Int { state.withLock { $0.connects } }

    var isPaused: Bool {
        get { state.withLock(\.isPaused) }
        set { state.withLock { $0.isPaused = newValue } }
    }

    func connect(port: Int) async throws -> Int32 {
        let state = state.withLock { state in
            state.connects += 1
            return state
        }
        if let failure = state.connectFailure { throw failure }
        guard port == self.port, let server = state.server else { throw PortRefused(port: port) }
        return try server.connect()
    }

    func listeners() async throws -> [Listener] { try state.withLock { $0.listeners }.get() }

    func path(of mount: SandboxSpecification.Mount) -> String { mount.target }
    func write(_: [UInt8], to _: String, executable _: Bool) async throws { throw unscripted }
    func read(_: String, limit _: Int) async throws -> [UInt8] { throw unscripted }
    func start(_: ProcessSpecification) async throws -> any SandboxProcess { throw unscripted }
    func process(tagged _: String) async throws -> any SandboxProcess { throw unscripted }

    private var unscripted: BerthError { BerthError(.internalError, "the test did not script this") }
}

/// A process that never ends.
@Sendable func neverExits() async -> ExitStatus? {
    for await _ in AsyncStream<Never>.makeStream().stream {}
    return nil
}

extension Manifest {
    /// A manifest of an own app.
    static func own(_ health: Health = Health()) -> Manifest {
        Manifest(name: "m", server: Server(app: .own("app.py")), health: health)
    }
}
