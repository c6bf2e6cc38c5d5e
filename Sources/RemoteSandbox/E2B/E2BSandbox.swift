import CurlClient
import DeploymentCore
import E2BProtocol
import Sandboxes
import Waiting

/// A sandbox of an E2B service.
public final class E2BSandbox: Sandbox {
    /// How long its agent may take to say that it is there.
    static let healthTimeout = Duration.seconds(10)
    /// How long it is tried to reach a process again before the sandbox counts as gone.
    static let reconnectBudget = Duration.seconds(60)
    /// The wait before the first repetition of that; it doubles up to a few seconds.
    static let reconnectDelay = Duration.milliseconds(250)
    static let longestReconnectDelay = Duration.seconds(5)

    struct State {
        var handle: SandboxHandle
        var isPaused = false
        var isGone = false
        /// Ports that somebody answered on, and nobody refused since.
        var openPorts: Set<Int> = []
        var lostRequests = 0
        var network: String
        /// What is to be closed once the installation is over; nil when that is done.
        var sealing: SandboxNetworkSettings?
        var usage = Usage()
    }

    /// Our id.
    public let id: String
    /// The folder of the app inside.
    public let appFolder = SandboxSpecification.appFolder
    /// The port that the app has to listen on.
    public let port: Int
    /// What can be vouched for: E2B's are virtual machines.
    public let isolation = Isolation.namespaces
    /// `user` and `root` differ inside.
    public let ownsIdentities = true
    let labels: E2BLabels
    let startedAt: Int64
    let client: E2BClient
    let timeout: Int64
    let clock: any Clock<Duration>
    let now: @Sendable () -> Int64
    let state: Locked<State>
    let resumed = Signal()
    /// The connections to its ports.
    let relays = OwnedTasks()

    init(
        labels: E2BLabels, handle: SandboxHandle, startedAt: Int64, client: E2BClient, timeout: Int64,
        clock: any Clock<Duration>, now: @escaping @Sendable () -> Int64
    ) {
        id = labels.sandbox
        port = labels.port
        self.labels = labels
        self.startedAt = startedAt
        self.client = client
        self.timeout = timeout
        self.clock = clock
        self.now = now
        state = Locked(State(handle: handle, network: labels.network))
    }

    /// What the service gave for it: its id there and its tokens.
    public var handle: SandboxHandle { state.withLock(\.handle) }
    /// What it can reach, in a few words.
    public var network: String { state.withLock(\.network) }
    /// Whether it is paused by us.
    public var isPaused: Bool { state.withLock(\.isPaused) }
    /// Where it is, for people.
    public var origin: String? { "e2b, \(handle.sandbox)" }
    /// How many requests to its ports the network has lost.
    public var lostRequests: Int { state.withLock(\.lostRequests) }
    /// The agent inside.
    public var agent: EnvdClient? { envd }

    var envd: EnvdClient { client.account.agent(of: handle, client: client.curl) }

    /// What it may reach once `seal()` was called.
    var sealing: SandboxNetworkSettings? {
        get { state.withLock(\.sealing) }
        set { state.withLock { $0.sealing = newValue } }
    }

    /// The target: nothing is mounted, so whoever wants it there uploads it.
    public func path(of mount: SandboxSpecification.Mount) -> String { mount.target }

    /// Takes away what only the installation was to reach.
    ///
    /// - Throws: `sandbox` when the service does not do it; the sandbox is not to be used then.
    public func seal() async throws {
        guard let settings = sealing else { return }
        if settings != SandboxNetworkSettings() {
            do {
                try await client.setNetwork(of: handle.sandbox, to: settings)
            } catch let error as BerthError where error.cause is E2BRefusal {
                throw BerthError(
                    .sandbox, "network: \(network) cannot be enforced: \(error.message)",
                    suggestion: "write network: egress to accept that the app reaches the internet", cause: error.cause)
            }
        }
        sealing = nil
    }

    /// Writes a file, making its folders.
    public func write(_ bytes: [UInt8], to path: String, executable: Bool) async throws {
        try await repeating { try await envd.write(bytes, to: path, executable: executable) }
    }

    /// Streams a file of this machine into it, from its beginning again after a failure of the network.
    public func upload(
        _ file: String, length: Int64, to path: String, executable: Bool, timeout: Duration,
        progress: @escaping @Sendable (Int64) -> Void
    ) async throws {
        try await repeating {
            try await envd.upload(
                file: file, length: length, to: path, executable: executable, timeout: timeout, progress: progress)
        }
    }

    /// Reads a file of at most `limit` bytes.
    public func read(_ path: String, limit: Int) async throws -> [UInt8] {
        try await repeating { try await envd.read(path, limit: limit) }
    }

    /// Starts a process without a deadline; it survives this connection.
    ///
    /// One with a tag, whose answer was lost, is looked for by it before it is started again.
    public func start(_ process: ProcessSpecification) async throws -> any SandboxProcess {
        var process = process
        process.workingDirectory = process.workingDirectory ?? appFolder
        // The agent looks for programs on its own PATH, a shell on the one that the process is given.
        if let program = process.command.first, !program.contains("/") {
            process.command = ["/bin/sh", "-c", #"exec "$0" "$@""#] + process.command
        }
        guard !process.tag.isEmpty else { return try await envd.start(process) }
        let wasTried = Locked(false)
        return try await repeating {
            if wasTried.withLock({ $0 }), let known = try await self.known(process.tag) { return known }
            wasTried.withLock { $0 = true }
            return try await self.envd.start(process)
        }
    }

    /// The process of a tag; nil when there is none.
    private func known(_ tag: String) async throws -> EnvdProcess? {
        do {
            return try await envd.connect(tag: tag)
        } catch let error as BerthError where error.code == .notFound {
            return nil
        }
    }

    /// Does again what may be done twice, when the network lost the request or its answer.
    func repeating<Result>(_ body: () async throws -> Result) async throws -> Result {
        var attempt = 0
        while true {
            do {
                return try await body()
            } catch let error as BerthError
                where error.code == .unreachable && !error.saysSandboxIsGone && !state.withLock(\.isGone)
            {
                guard attempt < E2BRetry.limit else { throw error }
                try await clock.pause(for: E2BRetry.backOff(attempt, 1))
                attempt += 1
            }
        }
    }

    /// Connects to a process by its tag, through failures of the network.
    ///
    /// As long as the service cannot be asked either, the sandbox is not given up: another one could not be made.
    ///
    /// - Throws: `not_found` when the process or the sandbox is gone.
    public func process(tagged tag: String) async throws -> any SandboxProcess {
        var spent = Duration.zero
        var delay = Self.reconnectDelay
        while true {
            await waitUntilResumed()
            try Task.checkCancellation()
            do {
                return try await envd.connect(tag: tag)
            } catch let error as BerthError where [.unreachable, .timeout].contains(error.code) {
                if state.withLock(\.isGone) || error.saysSandboxIsGone { throw gone(error) }
                if spent >= Self.reconnectBudget, await serviceAnswers() { throw gone(error) }
            }
            try await clock.pause(for: delay)
            spent += delay
            delay = min(delay * 2, Self.longestReconnectDelay)
        }
    }

    private func gone(_ error: BerthError) -> BerthError {
        BerthError(.notFound, "sandbox \(id) is gone", cause: error)
    }

    /// Whether the service says anything of this sandbox, a refusal included.
    private func serviceAnswers() async -> Bool {
        do {
            _ = try await client.sandbox(handle.sandbox)
            return true
        } catch {
            return ![.unreachable, .timeout].contains((error as? BerthError)?.code)
        }
    }

    private func waitUntilResumed() async {
        while !Task.isCancelled {
            let version = resumed.version
            guard isPaused else { return }
            await resumed.wait(after: version)
        }
    }

    /// Pauses it: its memory is kept, nothing in it runs.
    public func pause() async throws {
        try await client.pause(handle.sandbox)
        state.withLock { state in
            state.isPaused = true
            state.openPorts = []
        }
    }

    /// Lets it go on; one that is not paused is no error.
    public func resume() async throws {
        let handle = try await client.connect(handle.sandbox, timeout: timeout)
        state.withLock { state in
            state.handle = handle
            state.isPaused = false
        }
        resumed.notify()
    }

    /// It ended by itself; whoever waits for something of it is told.
    func vanish() async {
        state.withLock { state in
            state.isGone = true
            state.isPaused = false
            state.openPorts = []
        }
        resumed.notify()
        await relays.close()
    }

    /// Ends the connections to its ports.
    func close() async { await relays.close() }
}

extension BerthError {
    /// Whether the proxy before the sandboxes says that there is no such sandbox (protocol note 2.4).
    var saysSandboxIsGone: Bool {
        if let error = cause as? ConnectError { return error.message.contains("was not found") }
        return (cause as? BerthError)?.saysSandboxIsGone ?? false
    }
}
