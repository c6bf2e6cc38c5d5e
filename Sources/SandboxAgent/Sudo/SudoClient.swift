import CPlatform
import Glibc

/// `sudo` in a sandbox: the agent's own program under this name, which asks the agent to run the command.
struct SudoClient {
    /// The exit code when the command could not be started, as sudo's.
    private static let refused: Int32 = 1
    private static let chunk = 64 << 10
    private static let signals: [Int32] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2]

    /// Runs the command to its end.
    ///
    /// - Returns: the exit code.
    static func run(_ arguments: [String]) -> Int32 {
        switch SudoOptions.parse(arguments) {
        case .tell(let text):
            print(text, terminator: "")
            return 0
        case .wrong(let message): return fail(message)
        case .run(let options): return run(options)
        }
    }

    private static func run(_ options: SudoOptions) -> Int32 {
        let environment = variables()
        let shell = environment.last { $0.hasPrefix("SHELL=") }.map { String($0.dropFirst(6)) } ?? "/bin/sh"
        var request = options.request(environment: environment, shell: shell)
        let folder = berth_open_folder(".")
        guard folder >= 0 else { return fail("the working directory cannot be opened: \(errorText(-folder))") }
        let signals = berth_signals_passed()
        guard signals >= 0 else { return fail("signals cannot be taken: \(errorText(-signals))") }
        let socket = berth_abstract_connect(SudoRequest.socket)
        guard socket >= 0 else { return fail("nobody can become root in this sandbox") }
        var terminal: SudoTerminal?
        if isatty(STDIN_FILENO) == 1, isatty(STDOUT_FILENO) == 1 {
            terminal = SudoTerminal()
            guard terminal != nil else { return fail("there is no terminal to be had") }
        }
        request.hasTerminal = terminal != nil
        let ends = terminal.map { [$0.inner, $0.inner, $0.inner] } ?? [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO]
        let bytes = request.bytes
        guard bytes.count - 4 <= SudoRequest.limit else { return fail("the command is too long") }
        let error = berth_send_with_descriptors(socket, bytes, bytes.count, ends + [folder], 4)
        close(folder)
        terminal?.closeInner()
        // A refusal may have come before all of it was taken.
        guard error == 0 || error == -EPIPE else { return fail("the agent does not take it: \(errorText(-error))") }
        terminal?.makeRaw()
        let answer = wait(socket, signals, terminal)
        terminal?.end()
        switch answer {
        case nil: return fail("the agent gave no answer")
        case .refused(let reason): return fail(reason)
        case .exited(let code): return Int32(truncatingIfNeeded: code)
        case .signalled(let signal): return end(by: Int32(truncatingIfNeeded: signal))
        }
    }

    /// Passes signals and a terminal's bytes on until the agent tells the end.
    private static func wait(_ socket: Int32, _ signals: Int32, _ terminal: SudoTerminal?) -> SudoAnswer? {
        var input: [UInt8] = []
        while true {
            var polled = [
                pollfd(fd: socket, events: .readable, revents: 0), pollfd(fd: signals, events: .readable, revents: 0),
            ]
            if let terminal { polled += terminal.polled }
            guard poll(&polled, nfds_t(polled.count), -1) > 0 else {
                if errno == EINTR { continue }
                return nil
            }
            if polled[1].revents != 0 {
                while case let signal = berth_signals_next(signals), signal > 0 {
                    if signal == SIGWINCH {
                        terminal?.resize()
                    } else {
                        var byte = UInt8(truncatingIfNeeded: signal)
                        _ = send(socket, &byte, 1, Int32(MSG_NOSIGNAL))
                    }
                }
            }
            terminal?.pass(polled.dropFirst(2))
            if polled[0].revents != 0 {
                var bytes = [UInt8](repeating: 0, count: chunk)
                let count = recv(socket, &bytes, bytes.count, 0)
                guard count > 0 else { return nil }
                input += bytes[..<count]
                if let answer = SudoAnswer(input) { return answer }
            }
        }
    }

    /// Ends as the command did.
    private static func end(by signal: Int32) -> Int32 {
        var set = sigset_t()
        sigemptyset(&set)
        sigaddset(&set, signal)
        Glibc.signal(signal, SIG_DFL)
        sigprocmask(SIG_UNBLOCK, &set, nil)
        kill(getpid(), signal)
        return 128 + signal
    }

    private static func variables() -> [String] {
        var variables: [String] = []
        var entry = environ
        while let text = entry.pointee {
            let variable = String(cString: text)
            if variable.contains("="), !variable.hasPrefix("=") { variables.append(variable) }
            entry = entry.successor()
        }
        return variables
    }

    private static func fail(_ message: String) -> Int32 {
        let line = Array("sudo: \(message)\n".utf8)
        _ = Glibc.write(STDERR_FILENO, line, line.count)
        return refused
    }
}
