import CPlatform
import E2BProtocol
import Glibc

/// A process that was started here, until its result is forgotten.
final class ManagedProcess {
    let pid: pid_t
    let request: StartRequest
    /// Counts up with every process; process numbers come again.
    let number: Int
    /// The result, once there is one.
    private(set) var end: ProcessEnd?
    /// Called once all that can be heard of the process has been, after its end.
    var whenSilent: (() -> Void)?

    private let loop: EventLoop
    private let keepsReplay: Bool
    private var replay: ReplayBuffer
    private var subscriptions: [Subscription] = []
    private var pipes: [ProcessPipe] = []
    private var standardInput: StandardInput?
    /// Output taken after the process has ended, in bytes: more than a pipe can hold.
    private static let drainLimit = 1 << 20

    init(_ spawned: SpawnedProcess, request: StartRequest, number: Int, keepsReplay: Bool, loop: EventLoop) {
        pid = spawned.pid
        self.number = number
        self.request = request
        self.keepsReplay = keepsReplay
        self.loop = loop
        let hasTerminal = request.terminal != nil
        replay = ReplayBuffer(limit: hasTerminal ? ReplayBuffer.terminalLimit : ReplayBuffer.pipeLimit)
        if let input = spawned.input { standardInput = StandardInput(descriptor: input, loop: loop) }
        pipes = [
            ProcessPipe(descriptor: spawned.output, loop: loop, process: self) {
                hasTerminal ? .terminal($0) : .standardOutput($0)
            }
        ]
        if let errors = spawned.errors {
            pipes.append(ProcessPipe(descriptor: errors, loop: loop, process: self) { .standardError($0) })
        }
    }

    var hasTerminal: Bool { request.terminal != nil }

    var info: ProcessInfo { ProcessInfo(config: request.process, pid: Int(pid), tag: request.tag) }

    /// Whether some subscriber has to catch up before more output is read.
    var isHeldUp: Bool { end == nil && subscriptions.contains(where: \.isFull) }

    var isSilent: Bool { end != nil && !pipes.contains(where: \.isOpen) }

    func subscribe(_ subscription: Subscription, replays: Bool) {
        subscription.send(.start(pid: Int(pid)))
        // A terminal's last output is its screen, so everyone who comes gets it.
        if replays { for event in hasTerminal ? replay.all : replay.takeAll() { subscription.send(event) } }
        if let end {
            subscription.send(.end(end))
            subscription.finish()
        } else if !subscription.isFinished {
            subscriptions.append(subscription)
        }
    }

    func unsubscribe(_ subscription: Subscription) { subscriptions.removeAll { $0 === subscription } }

    /// Hands output to the subscribers; what comes after the end has none.
    func publish(_ event: ProcessEvent, size: Int) {
        guard end == nil else { return }
        if hasTerminal || (keepsReplay && subscriptions.isEmpty) { replay.append(event, size: size) }
        guard !subscriptions.isEmpty else { return }
        let frame = event.frame()
        for subscription in subscriptions { subscription.send(frame: frame) }
    }

    func pipeEnded() {
        if isSilent { whenSilent?() }
    }

    /// Looks whether the process has ended, and tells the subscribers.
    func collect() {
        var code: Int32 = 0
        var signalled: Int32 = 0
        guard end == nil, berth_child_ended(pid, &code, &signalled) != 0 else { return }
        for pipe in pipes { pipe.drain(limit: Self.drainLimit) }
        let result = signalled != 0 ? ProcessEnd.signal(SignalName.text(code)) : ProcessEnd.exit(Int(code))
        end = result
        standardInput?.close()
        let last = subscriptions
        subscriptions = []
        for subscription in last {
            subscription.send(.end(result))
            subscription.finish()
        }
        if isSilent { whenSilent?() }
    }

    /// Signals the group, and with SIGKILL also those who have left it but not the session, as a shell's jobs do.
    func signalGroup(_ signal: Int32) {
        kill(-pid, signal)
        if signal == SIGKILL { SystemProcess.killSession(pid) }
    }

    func write(_ input: ProcessInput) throws(ConnectError) {
        switch input {
        case .standardInput(let bytes):
            guard !hasTerminal else { throw ConnectError(.internal, "the process has a terminal, no standard input") }
            try openInput().write(bytes)
        case .terminal(let bytes):
            guard hasTerminal else { throw ConnectError(.internal, "the process has no terminal") }
            try openInput().write(bytes)
        }
    }

    func closeStandardInput() throws(ConnectError) {
        guard !hasTerminal else {
            throw ConnectError(.internal, "the input of a terminal is ended by the character 0x04")
        }
        try openInput().closeWhenWritten()
    }

    func resize(_ terminal: PseudoTerminal) throws(ConnectError) {
        guard hasTerminal, let screen = pipes.first else {
            throw ConnectError(.internal, "the process has no terminal")
        }
        let size = try TerminalLimits.checked(terminal)
        guard screen.isOpen, berth_terminal_resize(screen.descriptor, size.columns, size.rows) == 0 else {
            throw ConnectError(.failedPrecondition, "the terminal is closed")
        }
    }

    /// The standard input that can be written to.
    func openInput() throws(ConnectError) -> StandardInput {
        guard let standardInput, standardInput.isOpen else {
            throw ConnectError(.failedPrecondition, "the standard input of the process is closed")
        }
        return standardInput
    }

    /// Lets go of everything, and of the process's number.
    func release() {
        for pipe in pipes { pipe.close() }
        standardInput?.close()
        var status: Int32 = 0
        waitpid(pid, &status, WNOHANG)
    }
}

/// Signals as Go's `syscall.Signal` names them, which is what envd reports.
enum SignalName {
    private static let names: [Int32: String] = [
        SIGHUP: "hangup", SIGINT: "interrupt", SIGQUIT: "quit", SIGILL: "illegal instruction",
        SIGTRAP: "trace/breakpoint trap", SIGABRT: "aborted", SIGBUS: "bus error", SIGFPE: "floating point exception",
        SIGKILL: "killed", SIGUSR1: "user defined signal 1", SIGSEGV: "segmentation fault",
        SIGUSR2: "user defined signal 2", SIGPIPE: "broken pipe", SIGALRM: "alarm clock", SIGTERM: "terminated",
    ]

    static func text(_ signal: Int32) -> String { names[signal] ?? "signal \(signal)" }
}
