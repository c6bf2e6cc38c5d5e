import CPlatform
import DeploymentCore
import E2BProtocol
import Glibc

/// Starts processes as root inside for those whom the sandbox lets; setuid programs can do nothing here.
///
/// Its socket has no file, so that nobody can put another one in its place: the agent has the name before anyone else
/// runs, and as long as the sandbox lives.
final class SudoService {
    /// Requests at once, running commands among them.
    static let limit = 128
    private static let backlog: Int32 = 16
    private let agent: Agent
    private let listener: Listener
    private var sessions: [ObjectIdentifier: SudoSession] = [:]

    /// nil where the socket cannot be made.
    init?(agent: Agent) {
        let descriptor = berth_abstract_listen(SudoRequest.socket, Self.backlog)
        guard descriptor >= 0 else { return nil }
        self.agent = agent
        listener = Listener(descriptor: descriptor)
        listener.whenReady = { [unowned self] in acceptAll() }
        agent.loop.add(listener)
    }

    private func acceptAll() {
        while let descriptor = listener.accept(agent.loop) {
            let session = SudoSession(descriptor: descriptor, agent: agent) { [weak self] in
                self?.sessions[ObjectIdentifier($0)] = nil
            }
            sessions[ObjectIdentifier(session)] = session
            if sessions.count > Self.limit {
                session.refuse("\(Self.limit) commands of sudo run already")
            } else if let reason = Self.refusal(descriptor, agent.options) {
                session.refuse(reason)
            } else {
                session.begin()
            }
        }
    }

    /// Looks which commands have ended.
    func collect() {
        for session in Array(sessions.values) { session.collect() }
    }

    private static func refusal(_ descriptor: Int32, _ options: AgentOptions) -> String? {
        guard let account = options.account else {
            return "this sandbox has one user: the host grants it no ids of its own, see `berth doctor`"
        }
        guard options.allowsSudo else {
            return "nobody becomes root in this sandbox; the manifest can allow it: `sudo: on`"
        }
        var process: pid_t = 0
        var user: uid_t = 0
        guard berth_peer(descriptor, &process, &user) == 0, user == account.number || user == 0 else {
            return "only \(options.user) and root may use sudo"
        }
        return nil
    }
}

/// One call of `sudo`, from its request to the end of the command.
final class SudoSession: EventSource {
    /// How long a request may take to arrive, in milliseconds.
    private static let requestLimit: Int64 = 5000
    private static let readLimit = 64 << 10
    /// The signals that are passed on.
    private static let signals: Set<Int32> = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2]

    let descriptor: Int32
    private let agent: Agent
    private let whenOver: (SudoSession) -> Void
    private var input: [UInt8] = []
    private var passed: [Int32] = []
    private var deadline: EventLoop.Timer?
    private var command: pid_t = 0
    private var isOver = false

    init(descriptor: Int32, agent: Agent, whenOver: @escaping (SudoSession) -> Void) {
        self.descriptor = descriptor
        self.agent = agent
        self.whenOver = whenOver
    }

    /// Waits for the request.
    func begin() {
        deadline = agent.loop.schedule(after: Self.requestLimit) { [weak self] in
            self?.refuse("the request did not come in time")
        }
        agent.loop.add(self)
    }

    var interest: Int16 { .readable }

    func ready(_ events: Int16) {
        let room = SudoRequest.descriptorCount - passed.count
        var numbers = [Int32](repeating: -1, count: SudoRequest.descriptorCount)
        var count: Int32 = 0
        var received = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: Self.readLimit) { buffer, size in
            received = berth_receive_with_descriptors(
                descriptor, buffer.baseAddress, buffer.count, &numbers, Int32(room), &count)
            size = max(0, received)
        }
        passed += numbers.prefix(Int(count))
        if received == -Int(EAGAIN) { return }
        guard received > 0 else { return abandon() }
        if command != 0 { return forward(bytes) }
        input += bytes
        guard let length = SudoRequest.number(input[...]) else { return }
        guard length <= SudoRequest.limit else {
            return refuse("the command and its variables exceed \(SudoRequest.limit) bytes")
        }
        guard input.count >= length + 4 else { return }
        guard input.count == length + 4, let request = SudoRequest(input[4...]),
            passed.count == SudoRequest.descriptorCount
        else { return refuse("the request is malformed") }
        input = []
        start(request)
    }

    private func start(_ request: SudoRequest) {
        agent.loop.cancel(&deadline)
        let options = agent.options
        guard let acting = options.acting(as: request.user), let account = acting.account else {
            return refuse("unknown user \(request.user)")
        }
        var environment: [String: String] = [:]
        for variable in request.variables {
            let parts = variable.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            environment[String(parts[0])] = String(parts[1])
        }
        environment["USER"] = account.name
        environment["LOGNAME"] = account.name
        if request.setsHome { environment["HOME"] = account.home }
        guard let program = account.act({ Self.find(request.command[0], environment["PATH"], passed[3]) }) else {
            return refuse("\(request.command[0]): command not found")
        }
        let variables = environment.map { "\($0.key)=\($0.value)" }
        let mappings = (0..<3).map { berth_fd_mapping(source: passed[$0], target: Int32($0)) }
        var pid: pid_t = 0
        var identity = account.identity
        let error = withCStrings(request.command) { argv in
            withCStrings(variables) { envp in
                berth_spawn_as(
                    &pid, program, argv, envp, request.startsAtHome ? account.home : nil, passed[3], mappings, 3,
                    request.hasTerminal ? "" : nil, &identity)
            }
        }
        closePassed()
        guard error == 0 else { return refuse("\(request.command[0]): \(errorText(-error))") }
        command = pid
        var origin: pid_t = 0
        var user: uid_t = 0
        if berth_peer(descriptor, &origin, &user) == 0 { agent.processes.noteSudo(session: pid, begunBy: origin) }
    }

    /// The program's file; what is named with a slash is found from the working directory.
    private static func find(_ command: String, _ path: String?, _ folder: Int32) -> String? {
        if command.contains("/") { return faccessat(folder, command, F_OK, AT_EACCESS) == 0 ? command : nil }
        let candidates = (path ?? SpawnedProcess.defaultPath).split(separator: ":").map { "\($0)/\(command)" }
        return candidates.first {
            $0.hasPrefix("/") && faccessat(AT_FDCWD, $0, X_OK, AT_EACCESS) == 0
                && FileStatus(following: $0)?.isRegular ?? false
        }
    }

    private func forward(_ bytes: [UInt8]) {
        closePassed()
        for byte in bytes where Self.signals.contains(Int32(byte)) { kill(-command, Int32(byte)) }
    }

    func collect() {
        var code: Int32 = 0
        var signalled: Int32 = 0
        guard command != 0, berth_child_ended(command, &code, &signalled) != 0 else { return }
        var status: Int32 = 0
        waitpid(command, &status, WNOHANG)
        agent.processes.forgetSudo(session: command)
        command = 0
        answer(signalled != 0 ? .signalled(Int(code)) : .exited(Int(code)))
    }

    func refuse(_ reason: String) { answer(.refused(reason)) }

    private func answer(_ answer: SudoAnswer) {
        let bytes = answer.bytes
        // It fits into the socket's buffer, whose only message it is; who does not read it learns nothing.
        _ = berth_send_with_descriptor(descriptor, bytes, bytes.count, -1)
        close()
    }

    /// Whoever asked is gone; its command has nobody to end it.
    private func abandon() {
        guard command != 0 else { return close() }
        let session = command
        kill(-session, SIGTERM)
        // It is still to be collected, and so its number is its own.
        agent.loop.remove(self)
        _ = agent.loop.schedule(after: agent.options.terminationGrace) { [weak self] in
            guard let self, command == session else { return }
            SystemProcess.killSession(session)
        }
    }

    private func closePassed() {
        for number in passed { Glibc.close(number) }
        passed = []
    }

    private func close() {
        guard !isOver else { return }
        isOver = true
        agent.loop.cancel(&deadline)
        agent.loop.remove(self)
        closePassed()
        Glibc.close(descriptor)
        whenOver(self)
    }
}
