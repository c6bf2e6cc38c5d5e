import CurlClient
import DeploymentCore
import E2BProtocol
import Waiting

extension EnvdClient {
    /// Starts a process that survives this connection.
    ///
    /// An empty tag is none.
    public func start(_ process: ProcessSpecification) async throws -> EnvdProcess {
        guard let program = process.command.first else {
            throw BerthError(.sandbox, "there is no program to start in the sandbox")
        }
        let config = ProcessConfig(
            command: program, arguments: Array(process.command.dropFirst()), environment: process.environment,
            workingDirectory: process.workingDirectory)
        let tag = process.tag.isEmpty ? nil : process.tag
        let request = StartRequest(
            process: config, terminal: process.terminal.map(PseudoTerminal.init), tag: tag,
            standardInput: process.keepsInputOpen)
        return try await subscribe(.processStart, request, hasTerminal: process.terminal != nil)
    }

    /// Subscribes to a process by the tag it was started with.
    ///
    /// - Throws: `not_found` when it ended long ago or never was.
    public func connect(tag: String) async throws -> EnvdProcess {
        try await subscribe(.processConnect, ConnectRequest(process: .tag(tag)), hasTerminal: nil)
    }

    /// The processes that run, by process id.
    public func list() async throws -> [ProcessInfo] {
        let reply: ProcessListResponse = try await call(.processList, EmptyMessage())
        return reply.processes
    }

    /// Sends SIGTERM or SIGKILL to a process and its group.
    ///
    /// - Throws: `sandbox` for another signal, which envd has no word for; `not_found` when the process is gone.
    public func signal(_ signal: Int32, process: ProcessSelector) async throws {
        guard signal != 0, let signal = ProcessSignal(rawValue: Int(signal)) else {
            throw BerthError(.sandbox, "signal \(signal) cannot be sent into a sandbox, only 9 and 15 can")
        }
        let _: EmptyMessage = try await call(.processSendSignal, SendSignalRequest(process: process, signal: signal))
    }

    /// Writes to a process; our agent answers once the process has taken most of it.
    func send(_ input: ProcessInput, to process: ProcessSelector) async throws {
        let _: EmptyMessage = try await call(
            .processSendInput, SendInputRequest(process: process, input: input), timeout: Self.inputTimeout)
    }

    /// Ends the standard input of a process.
    func closeInput(of process: ProcessSelector) async throws {
        let _: EmptyMessage = try await call(.processCloseStdin, CloseStdinRequest(process: process))
    }

    /// Resizes a process's terminal.
    func resize(_ size: TerminalSize, process: ProcessSelector) async throws {
        let request = UpdateRequest(process: process, terminal: PseudoTerminal(size))
        let _: EmptyMessage = try await call(.processUpdate, request)
    }

    private func subscribe(
        _ method: RemoteMethod, _ message: some WireMessage, hasTerminal: Bool?
    ) async throws -> EnvdProcess {
        var request = request("POST", method.rawValue, timeout: nil)
        request.headers += [
            ("Content-Type", "application/connect+json"), ("Connect-Protocol-Version", "1"),
            ("Keepalive-Ping-Interval", "50"),
            // Our agent keeps output for who comes later, and gives it; envd has no such thing and ignores this.
            ("Berth-Replay", "1"),
        ]
        request.body = .bytes(connectFrame(message.json))
        request.silence = silence
        request.isSentOnce = method == .processStart
        let stream = EventStream(client: client, request: request)
        do {
            let first = try await withDeadline(
                Self.firstEventTimeout,
                BerthError(.timeout, "the first event of a process did not come within \(Self.firstEventTimeout)")
            ) {
                try await stream.next()
            }
            guard case .start(let pid) = first else {
                throw BerthError(.sandbox, "the sandbox's agent does not begin a process's events with its start")
            }
            return EnvdProcess(pid: pid, client: self, stream: stream, hasTerminal: hasTerminal)
        } catch {
            stream.close()
            throw error
        }
    }
}

extension PseudoTerminal {
    fileprivate init(_ size: TerminalSize) { self.init(columns: size.columns, rows: size.rows) }
}
