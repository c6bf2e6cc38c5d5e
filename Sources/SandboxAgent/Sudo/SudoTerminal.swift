import CPlatform
import Glibc

/// A terminal for the command: a process of another session cannot have ours as its own.
final class SudoTerminal {
    private static let chunk = 64 << 10
    /// The command's side; closed once it was passed on.
    private(set) var inner: Int32
    private let outer: Int32
    private var modes = termios()
    private var isRaw = false
    private var waiting = OutputQueue()
    private var hasInput = true
    private var hasOutput = true

    /// nil where there is none to be had.
    init?() {
        var path = [CChar](repeating: 0, count: TerminalLimits.pathLength)
        var columns: Int32 = 0
        var rows: Int32 = 0
        guard tcgetattr(STDIN_FILENO, &modes) == 0, berth_terminal_size(STDOUT_FILENO, &columns, &rows) == 0 else {
            return nil
        }
        outer = berth_terminal_open(columns, rows, &path, path.count)
        guard outer >= 0 else { return nil }
        inner = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC)
        guard inner >= 0 else {
            close(outer)
            return nil
        }
        // What was set for ours, as no echo, holds for the command too.
        tcsetattr(inner, TCSANOW, &modes)
    }

    func closeInner() {
        close(inner)
        inner = -1
    }

    /// From now on every key is the command's.
    func makeRaw() {
        var raw = modes
        cfmakeraw(&raw)
        isRaw = tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0
    }

    func resize() {
        var columns: Int32 = 0
        var rows: Int32 = 0
        guard berth_terminal_size(STDOUT_FILENO, &columns, &rows) == 0 else { return }
        _ = berth_terminal_resize(outer, columns, rows)
    }

    /// What is waited for: our keys, unless earlier ones wait, and the command's terminal.
    var polled: [pollfd] {
        [
            pollfd(fd: hasInput && waiting.isEmpty ? STDIN_FILENO : -1, events: .readable, revents: 0),
            pollfd(
                fd: hasOutput ? outer : -1, events: waiting.isEmpty ? .readable : .readable | .writable, revents: 0),
        ]
    }

    /// Moves what can be moved.
    func pass(_ polled: ArraySlice<pollfd>) {
        guard let input = polled.first, let output = polled.last else { return }
        if input.revents != 0 {
            let bytes = readAvailable(STDIN_FILENO, limit: Self.chunk) ?? []
            if bytes.isEmpty { hasInput = false }
            waiting.append(bytes)
        }
        if !waiting.isEmpty, waiting.flush(to: outer) != 0 { waiting.removeAll() }
        if output.revents & (.readable | .broken) != 0 { _ = show() }
    }

    /// Shows some of the command's output; whether there was any.
    private func show() -> Bool {
        guard hasOutput, let bytes = readAvailable(outer, limit: Self.chunk) else { return false }
        guard !bytes.isEmpty else {
            hasOutput = false
            return false
        }
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(STDOUT_FILENO, $0.baseAddress, $0.count) }
            if count < 0, errno != EINTR { return false }
            rest = rest.dropFirst(max(0, count))
        }
        return true
    }

    /// Shows the last output, and gives our terminal back.
    func end() {
        while show() {}
        if isRaw { tcsetattr(STDIN_FILENO, TCSADRAIN, &modes) }
        close(outer)
    }
}
