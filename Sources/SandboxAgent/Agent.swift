import CPlatform
import E2BProtocol
import Glibc

/// The services that run inside a sandbox, in one thread: processes, files, ports.
public final class Agent {
    /// The version that `--version` and `/health` tell.
    public static let version = "0.1.0"
    /// Open connections; the longest idle ones make room.
    static let connectionLimit = 512
    /// Open connections of processes in here, beside those of the owner.
    static let innerConnectionLimit = 64
    /// Connections that may wait for a socket that the agent made itself.
    static let listenBacklog: Int32 = 128

    private(set) var options: AgentOptions
    var access = AccessRules()
    let metrics = MetricsProbe()
    let loop = EventLoop()
    let processes: ProcessTable
    let watches: WatchTable
    private let listener: Listener
    private var egress: EgressBridge?
    private var innerListener: Listener?
    private var sudo: SudoService?
    private var connections: [ObjectIdentifier: (connection: Connection, number: Int)] = [:]
    private var relays: [ObjectIdentifier: Relay] = [:]
    private var acceptedCount = 0
    private var isEnding = false
    private var isDone = false

    private init(options: AgentOptions) {
        self.options = options
        listener = Listener(descriptor: options.listener)
        processes = ProcessTable(loop: loop, options: options)
        watches = WatchTable(loop: loop)
    }

    /// Serves until SIGTERM.
    ///
    /// - Returns: the exit code of the process.
    public static func run(_ given: AgentOptions) -> Int32 {
        var options = given
        if options.isInit, case let error = berth_init_stay(), error < 0 {
            complain("cannot stay as init: errno \(-error)")
            return 1
        }
        if let path = options.listenPath {
            options.listener = berth_unix_listen_path(path, listenBacklog)
            guard options.listener >= 0 else {
                complain("cannot listen on \(path): errno \(-options.listener)")
                return 1
            }
        }
        let signals = berth_signals_open()
        let prepared = berth_fd_prepare(options.listener)
        guard signals >= 0, prepared == 0 else {
            complain("cannot use descriptor \(options.listener): errno \(-min(signals, prepared))")
            return 1
        }
        if options.account != nil, case let error = berth_capabilities_keep(Account.agentCapabilities), error < 0 {
            complain("cannot give up capabilities: \(errorText(-error))")
            return 1
        }
        // Files belong to the user unless a request says otherwise.
        if let account = options.account { berth_act_as(account.number, account.number) }
        // Without a network namespace of its own the interface is up, and not the agent's to touch.
        if !options.allowsHostPaths { _ = berth_loopback_up() }
        let agent = Agent(options: options)
        agent.listener.whenReady = { [unowned agent] in agent.acceptAll() }
        let source = SignalSource(descriptor: signals) { [unowned agent] in agent.handle(signal: $0) }
        if let egress = options.egress {
            agent.egress = EgressBridge(path: egress.path, port: egress.port, loop: agent.loop)
            guard agent.egress != nil else {
                complain("cannot listen on port \(egress.port)")
                return 1
            }
        }
        // Its name would be one of the host's there.
        if !options.allowsHostPaths { agent.sudo = SudoService(agent: agent) }
        agent.loop.add(agent.listener)
        agent.loop.add(source)
        if let readiness = options.readiness, case let error = berth_readiness_tell(readiness), error < 0 {
            complain("cannot tell of its readiness: errno \(-error)")
            return 1
        }
        agent.loop.run { !agent.isDone }
        return 0
    }

    /// Goes on with other options.
    func adopt(_ options: AgentOptions) {
        self.options = options
        processes.options = options
    }

    private func acceptAll() {
        while let descriptor = listener.accept(loop) {
            if connections.count >= Self.connectionLimit { closeOldestIdle() }
            acceptedCount += 1
            let connection = Connection(descriptor: descriptor, agent: self)
            connections[ObjectIdentifier(connection)] = (connection, acceptedCount)
            loop.add(connection)
            if connections.count > Self.connectionLimit { connection.close() }
        }
    }

    private func closeOldestIdle() {
        connections.values.filter(\.connection.isIdle).min { $0.number < $1.number }?.connection.close()
    }

    /// Answers processes in here as well, on the port where they look for envd; what they may ask is little. Where the
    /// ports are the host's, or somebody has this one, nobody is answered.
    func openInside() {
        guard !options.allowsHostPaths, innerListener == nil else { return }
        let descriptor = berth_tcp_listen(Int32(HostName.agentPort))
        guard descriptor >= 0 else { return Self.complain("cannot listen on port \(HostName.agentPort) in here") }
        let listener = Listener(descriptor: descriptor)
        listener.whenReady = { [unowned self] in
            while let descriptor = listener.accept(loop) {
                guard connections.values.count(where: \.connection.isFromInside) < Self.innerConnectionLimit else {
                    close(descriptor)
                    continue
                }
                acceptedCount += 1
                let connection = Connection(descriptor: descriptor, agent: self, isFromInside: true)
                connections[ObjectIdentifier(connection)] = (connection, acceptedCount)
                loop.add(connection)
            }
        }
        innerListener = listener
        loop.add(listener)
    }

    /// Passes bytes on between two connected sockets, which are the relay's from now on, until both have ended.
    func relay(_ first: Int32, _ second: Int32) {
        let relay = Relay(first, second, loop: loop, idleLimit: nil) { [unowned self] in
            relays[ObjectIdentifier($0)] = nil
        }
        relays[ObjectIdentifier(relay)] = relay
    }

    /// Whether one more connection can be passed on.
    var canRelay: Bool { relays.count < Self.connectionLimit }

    func forget(_ connection: Connection) { connections[ObjectIdentifier(connection)] = nil }

    private func handle(signal: Int32) {
        switch signal {
        case SIGCHLD:
            processes.collect()
            sudo?.collect()
            if isEnding, processes.allEnded { isDone = true }
        case SIGTERM, SIGINT, SIGHUP: end()
        default: break
        }
    }

    /// Asks every process to end, and ends those that do not.
    private func end() {
        guard !isEnding else { return }
        isEnding = true
        loop.remove(listener)
        processes.signalAll(SIGTERM)
        processes.collect()
        _ = loop.schedule(after: processes.allEnded ? 0 : options.terminationGrace) { [self] in
            processes.signalAll(SIGKILL)
            isDone = true
        }
    }

    static func complain(_ message: String) {
        let line = Array("berth-agent: \(message)\n".utf8)
        _ = Glibc.write(STDERR_FILENO, line, line.count)
    }
}

/// Signals, as descriptors deliver them.
private final class SignalSource: EventSource {
    let descriptor: Int32
    private let handle: (Int32) -> Void

    init(descriptor: Int32, handle: @escaping (Int32) -> Void) {
        self.descriptor = descriptor
        self.handle = handle
    }

    var interest: Int16 { .readable }

    func ready(_ events: Int16) {
        while case let signal = berth_signals_next(descriptor), signal > 0 { handle(signal) }
    }
}

/// The program: reads the arguments and serves, or is `sudo` when it is called so.
///
/// - Parameter name: what it was called.
/// - Returns: the exit code.
public func agentMain(_ arguments: [String], name: String = "") -> Int32 {
    if PathResolver.name(name) == "sudo" { return SudoClient.run(arguments) }
    switch AgentOptions.parse(arguments) {
    case .version:
        print("berth-agent \(Agent.version)")
        return 0
    case .wallsTrial:
        return Walls.trial()
    case .wrong(let message):
        Agent.complain(message)
        return 2
    case .serve(let options):
        if let failure = options.walls?.raise() {
            Agent.complain(failure)
            return 1
        }
        return Agent.run(options)
    }
}
