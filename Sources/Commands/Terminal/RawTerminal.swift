import DeploymentCore
import Foundation
import Sandboxes

/// The user's terminal without line editing, echo and signals, so that the one inside does all of that.
///
/// Its mode comes back with `restore()`, and at the latest when the process ends by itself.
final class RawTerminal: Sendable {
    private static let changed = Locked<termios?>(nil)
    private static let restoreAtExit: Void = { _ = atexit { RawTerminal.restoreChanged() } }()

    /// Changes the mode of standard input.
    ///
    /// - Throws: `usage` when it is no terminal.
    init() throws {
        var mode = termios()
        guard tcgetattr(0, &mode) == 0 else {
            throw BerthError(.usage, "standard input is no terminal", suggestion: "leave -t out")
        }
        let saved = mode
        Self.changed.withLock { $0 = saved }
        _ = Self.restoreAtExit
        cfmakeraw(&mode)
        // What was typed already is meant for what begins now.
        guard tcsetattr(0, TCSADRAIN, &mode) == 0 else {
            throw BerthError(.internalError, "cannot change the terminal: \(String(cString: strerror(errno)))")
        }
    }

    func restore() { Self.restoreChanged() }

    private static func restoreChanged() {
        changed.withLock { mode in
            guard var saved = mode else { return }
            tcsetattr(0, TCSADRAIN, &saved)
            mode = nil
        }
    }

    /// The size of the terminal that standard output, or else standard input, is; nil when neither is one.
    static var size: TerminalSize? {
        for descriptor: Int32 in [1, 0] {
            var size = winsize()
            guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else { continue }
            return TerminalSize(columns: Int(size.ws_col), rows: Int(size.ws_row))
        }
        return nil
    }
}
