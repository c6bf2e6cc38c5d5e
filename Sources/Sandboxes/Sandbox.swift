import DeploymentCore

/// One isolated environment, and what can be done in it.
public protocol Sandbox: Sendable {
    /// The id it was created with.
    var id: String { get }
    /// The folder of the app inside the sandbox; absolute.
    var appFolder: String { get }
    /// Where a path that exists read-only on the host is found inside (environments, model files).
    ///
    /// Under `namespaces` this is the mount's target, under `process` the host path itself.
    func path(of mount: SandboxSpecification.Mount) -> String
    /// The port that the app has to listen on, here.
    var port: Int { get }
    /// How far it is isolated.
    var isolation: Isolation { get }
    /// What it can reach, in a few words: `none`, `egress`, `2 hosts`, or `open` where nothing keeps it from anything.
    var network: String { get }
    /// Whether it has ids of its own, so that `user` and `root` inside differ and are nobody outside.
    var ownsIdentities: Bool { get }

    /// Writes a file, making its folders. The path is absolute inside.
    func write(_ bytes: [UInt8], to path: String, executable: Bool) async throws

    /// Reads a file of at most `limit` bytes.
    func read(_ path: String, limit: Int) async throws -> [UInt8]

    /// Starts a process that survives this connection and this control plane.
    func start(_ process: ProcessSpecification) async throws -> any SandboxProcess

    /// Connects to a process by the tag it was started with, replaying output that nobody has read yet.
    ///
    /// - Throws: `not_found` when it ended more than 30 s ago or never was.
    func process(tagged tag: String) async throws -> any SandboxProcess

    /// Opens a connection to a port inside and hands out the connected socket, which the caller closes.
    ///
    /// - Throws: `PortRefused` when nobody listens there.
    func connect(port: Int) async throws -> Int32

    /// Who listens inside on TCP, and whether it is a process we started.
    func listeners() async throws -> [Listener]

    /// What it uses now.
    func statistics() async throws -> SandboxStatistics

    /// The limits that it ran into so far; the reason to tell when its app was killed.
    func exceededLimits() async -> [ExceededLimit]

    /// Whether it is paused, by this control plane or an earlier one.
    var isPaused: Bool { get }

    /// Freezes every process, the agent's too, and gives its memory back where that can be done; again is no error.
    ///
    /// Until `resume()` nothing inside answers: open connections stall, `connect(port:)` is refused with `unreachable`, and
    /// a probe of its health says nothing. `statistics()` and `destroy` go on working.
    func pause() async throws

    /// Lets a paused sandbox go on; one that is not paused is no error.
    func resume() async throws

    /// Where it is and what it is called there, where that is not this machine: `e2b, i0123…`.
    var origin: String? { get }

    /// How many requests to its ports the network between it and this machine has lost so far.
    var lostRequests: Int { get }

    /// Streams a file of this machine into it, making folders, within `timeout`; `progress` is told the bytes so far.
    func upload(
        _ file: String, length: Int64, to path: String, executable: Bool, timeout: Duration,
        progress: @escaping @Sendable (Int64) -> Void
    ) async throws

    /// Takes away what only an installation was to reach; the app starts behind it. Again is no error.
    func seal() async throws

    /// The agent inside, for requests that are passed on to it as they are; nil where there is none.
    var agent: EnvdClient? { get }

    /// Opens a connection to the agent and hands out the connected socket, which the caller closes.
    ///
    /// - Throws: `unreachable` when it is paused or its agent does not listen.
    func connectToAgent() async throws -> Int32

    /// Replaces what it may reach, from the next connection on.
    ///
    /// - Throws: `sandbox` where that cannot be enforced, or the sandbox was made without a way out.
    func permit(_ access: NetworkAccess) async throws
}

/// Nobody listens on the port.
public struct PortRefused: Error, Sendable {
    /// The port asked for.
    public let port: Int
    /// Creates the error.
    public init(port: Int) { self.port = port }
}

/// A listening TCP socket inside a sandbox.
public struct Listener: Sendable, Equatable, Codable {
    /// The address bound to: `127.0.0.1`, `0.0.0.0`, `::`, …
    public var address: String
    /// The port.
    public var port: Int
    /// The process that holds it, as numbered inside the sandbox; nil when it cannot be told.
    public var pid: Int?
    /// The tag of the started process whose session the holder belongs to; nil for a stranger.
    public var tag: String?

    /// Creates a listener.
    public init(address: String, port: Int, pid: Int?, tag: String?) {
        self.address = address
        self.port = port
        self.pid = pid
        self.tag = tag
    }
}

/// What to start.
public struct ProcessSpecification: Sendable, Equatable, Codable {
    /// The name to find it by later.
    public var tag: String
    /// The program and its arguments.
    public var command: [String]
    /// Variables beyond the sandbox's own.
    public var environment: [String: String]
    /// The working directory inside; nil is the app folder.
    public var workingDirectory: String?
    /// The terminal to run it on; nil for pipes.
    public var terminal: TerminalSize?
    /// Whether standard input can be written to; without it, and without a terminal, it is empty from the start.
    public var keepsInputOpen: Bool

    /// Creates a specification.
    public init(
        tag: String, command: [String], environment: [String: String] = [:], workingDirectory: String? = nil,
        terminal: TerminalSize? = nil, keepsInputOpen: Bool = false
    ) {
        self.tag = tag
        self.command = command
        self.environment = environment
        self.workingDirectory = workingDirectory
        self.terminal = terminal
        self.keepsInputOpen = keepsInputOpen
    }
}

/// How large a terminal is.
public struct TerminalSize: Sendable, Equatable, Codable {
    /// Characters in a line.
    public var columns: Int
    /// Lines.
    public var rows: Int

    /// Creates a size.
    public init(columns: Int, rows: Int) {
        self.columns = columns
        self.rows = rows
    }
}

/// A process in a sandbox.
public protocol SandboxProcess: Sendable {
    /// The process id inside the sandbox.
    var pid: Int { get }
    /// Output in its order, then one `.ended`; fails with `unreachable` when the sandbox goes away. One consumer.
    var events: AsyncThrowingStream<SandboxProcessEvent, any Error> { get }
    /// Sends a signal to the process and its group.
    func signal(_ signal: Int32) async throws
    /// Writes to the terminal, or else to standard input, waiting while the process does not read.
    ///
    /// - Throws: `not_found` once it has ended, `sandbox` when its input is closed or was never open.
    func write(_ bytes: [UInt8]) async throws
    /// Ends the input: an end of file for standard input, the character for it (0x04) for a terminal.
    func closeInput() async throws
    /// Resizes the terminal.
    ///
    /// - Throws: `not_found` once it has ended, `sandbox` when it has no terminal.
    func resize(_ size: TerminalSize) async throws
}

/// What a process does.
public enum SandboxProcessEvent: Sendable, Equatable {
    /// Standard output, or what appears on the terminal.
    case stdout([UInt8])
    case stderr([UInt8])
    case ended(ExitStatus)
}
