import DeploymentCore
import E2BProtocol

/// A process that envd started, and the subscription to its events.
///
/// The subscription ends when this object and the iterator of its events are gone; the process does not.
public final class EnvdProcess: SandboxProcess {
    /// The process id inside the sandbox.
    public let pid: Int
    /// Output in its order, then one `.ended`.
    public let events: AsyncThrowingStream<SandboxProcessEvent, any Error>
    private let client: EnvdClient
    private let input: EnvdInput

    /// - Parameter hasTerminal: nil when another one started it, and nobody told.
    init(pid: Int, client: EnvdClient, stream: EventStream, hasTerminal: Bool?) {
        let input = EnvdInput(client: client, process: .pid(pid), hasTerminal: hasTerminal)
        self.pid = pid
        self.client = client
        self.input = input
        events = AsyncThrowingStream(unfolding: { try await Self.nextEvent(stream, input) })
    }

    /// Sends SIGTERM or SIGKILL to the process and its group; one that already ended is no error.
    public func signal(_ signal: Int32) async throws {
        do {
            try await client.signal(signal, process: .pid(pid))
        } catch let error as BerthError where error.code == .notFound {
            return
        }
    }

    /// Writes to the terminal, or else to standard input, waiting while the process does not read.
    public func write(_ bytes: [UInt8]) async throws { try await input.write(bytes) }

    /// Ends the input; of a process that already ended it is no error.
    public func closeInput() async throws {
        do {
            try await input.close()
        } catch let error as BerthError where error.code == .notFound {
            return
        }
    }

    /// Resizes the terminal.
    public func resize(_ size: TerminalSize) async throws { try await client.resize(size, process: .pid(pid)) }

    private static func nextEvent(_ stream: EventStream, _ input: EnvdInput) async throws -> SandboxProcessEvent? {
        while let event = try await stream.next() {
            switch event {
            case .terminal(let bytes):
                input.sawTerminal()
                return .stdout(bytes)
            case .standardOutput(let bytes): return .stdout(bytes)
            case .standardError(let bytes): return .stderr(bytes)
            case .end(let end): return .ended(end.exitStatus)
            case .start, .keepalive: continue
            }
        }
        return nil
    }
}

extension ProcessEnd {
    /// Go's words for signals, which envd sends instead of their numbers.
    private static let signals: [String: Int32] = [
        "hangup": 1, "interrupt": 2, "quit": 3, "illegal instruction": 4, "trace/breakpoint trap": 5, "aborted": 6,
        "bus error": 7, "floating point exception": 8, "killed": 9, "user defined signal 1": 10,
        "segmentation fault": 11, "user defined signal 2": 12, "broken pipe": 13, "alarm clock": 14,
        "terminated": 15, "stack fault": 16, "bad system call": 31,
    ]

    /// The end in our words; a signal that has no known name counts as 0.
    var exitStatus: ExitStatus {
        guard !exited, exitCode < 0 || status.hasPrefix("signal: ") else {
            return .exited(code: Int32(clamping: exitCode))
        }
        var name = status.hasPrefix("signal: ") ? String(status.dropFirst("signal: ".count)) : status
        if name.hasSuffix(" (core dumped)") { name.removeLast(" (core dumped)".count) }
        if let number = Self.signals[name] { return .signalled(number) }
        let number = name.split(separator: " ").last.flatMap { Int32($0) }
        return .signalled(number ?? 0)
    }
}
