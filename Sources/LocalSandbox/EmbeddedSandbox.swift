import CurlClient
import DeploymentCore
import Sandboxes

/// A sandbox of the embedded engine.
public final class EmbeddedSandbox: Sandbox {
    /// The id it was created with.
    public let id: String
    /// The port that the app has to listen on.
    public let port: Int
    /// How far it is isolated.
    public let isolation: Isolation
    /// What it can reach, in a few words.
    public let network: String
    /// Whether it has ids of its own.
    public let ownsIdentities: Bool
    /// The folder of the app inside.
    public let appFolder: String
    let envd: EnvdClient
    let folder: SandboxFolder
    let vitals: Vitals
    let gate: (any EgressGate)?
    private let home: String
    private let lanes: ControlLanes
    let root: Descriptor
    let socket: String

    init(
        state: SandboxState, folder: SandboxFolder, vitals: Vitals, root: Descriptor, client: CurlClient,
        network: NetworkEnforcement, gate: (any EgressGate)?
    ) {
        self.folder = folder
        self.vitals = vitals
        self.gate = gate
        self.network = network == .open ? network.rawValue : (state.network ?? .nothing).summary
        id = state.id
        port = state.port
        isolation = state.isolation
        ownsIdentities = state.identities != nil
        home = folder.home
        appFolder = state.isolation.sharesHost ? folder.app : SandboxSpecification.appFolder
        self.root = root
        // The path stays short through the descriptor, and differs for each sandbox, so that no connection is mixed up.
        socket = "\(state.id)/\(SandboxFolder.socketName)"
        envd = EnvdClient(
            client: client, baseURL: "http://localhost",
            transport: .unixSocket("/proc/self/fd/\(root.number)/\(socket)"))
        lanes = ControlLanes(root: root, socket: socket)
    }

    /// The target under `namespaces`; under `process` the copy below the home folder, or the source itself.
    public func path(of mount: SandboxSpecification.Mount) -> String {
        guard isolation.sharesHost else { return mount.target }
        return MountRules.place(of: mount, home: home) ?? mount.source
    }

    /// Writes a file, making its folders.
    public func write(_ bytes: [UInt8], to path: String, executable: Bool) async throws {
        try await envd.write(bytes, to: path, executable: executable)
    }

    /// Reads a file of at most `limit` bytes.
    public func read(_ path: String, limit: Int) async throws -> [UInt8] { try await envd.read(path, limit: limit) }

    /// Starts a process that survives this connection and this control plane.
    public func start(_ process: ProcessSpecification) async throws -> any SandboxProcess {
        var process = process
        process.workingDirectory = process.workingDirectory ?? appFolder
        return try await envd.start(process)
    }

    /// Connects to a process by the tag it was started with.
    public func process(tagged tag: String) async throws -> any SandboxProcess { try await envd.connect(tag: tag) }

    /// Opens a connection to a port inside; the caller closes the socket.
    ///
    /// - Throws: `PortRefused`; `unreachable` when the agent does not give a connection within 2 s.
    public func connect(port: Int) async throws -> Int32 {
        guard (1...65_535).contains(port) else { throw BerthError(.sandbox, "\(port) is not a port") }
        if isPaused {
            throw BerthError(.unreachable, "the sandbox \(id) is paused", suggestion: "resume it first")
        }
        if isolation == .gvisor { return try await relayed("\(port)", refusal: PortRefused(port: port)) }
        if isolation == .landlock { return try await connectFromHost(port: port) }
        return try await lanes.connect("\(port)", refusal: PortRefused(port: port))
    }

    /// Opens a connection to a unix socket inside, by its absolute path there; the caller closes the socket.
    ///
    /// - Throws: `unreachable` when nobody listens, or the agent does not give a connection within 2 s.
    public func connect(socket path: String) async throws -> Int32 {
        guard path.hasPrefix("/"), !path.contains("\n"), path.utf8.count < 108 else {
            throw BerthError(.sandbox, "\(path) is not a socket's path")
        }
        let refusal = BerthError(.unreachable, "nobody listens on \(path) in sandbox \(id)")
        if isolation == .gvisor { return try await relayed("unix:\(path)", refusal: refusal) }
        return try await lanes.connect("unix:\(path)", refusal: refusal)
    }

    /// Who listens inside on TCP.
    public func listeners() async throws -> [Listener] { try await envd.listeners() }
}
