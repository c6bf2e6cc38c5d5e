import DeploymentCore
import Sandboxes

/// Reads a process to its end: its lines go to the log book, the last ones are kept for error reports.
final class OutputCapture: Sendable {
    /// Lines kept for an error report.
    static let recentLines = 40

    private struct State {
        var partial: [String: [UInt8]] = [:]
        var recent: [String] = []
    }

    private let state = Locked(State())
    private let log: LogBook
    private let deployment: String
    private let revision: Int
    /// How the process ended; nil inside when its sandbox went away.
    let exit = Promise<ExitStatus?>()

    init(log: LogBook, deployment: String, revision: Int) {
        self.log = log
        self.deployment = deployment
        self.revision = revision
    }

    /// The last lines, oldest first.
    var recent: String { state.withLock { $0.recent.joined(separator: "\n") } }

    /// Reads until the process ends or its sandbox goes away.
    func run(_ process: any SandboxProcess) async {
        var status: ExitStatus?
        do {
            for try await event in process.events {
                switch event {
                case .stdout(let bytes): take(bytes, "out")
                case .stderr(let bytes): take(bytes, "err")
                case .ended(let ending): status = ending
                }
            }
        } catch {
            note("the sandbox went away: \(error)")
        }
        guard !Task.isCancelled else { return }
        flush()
        exit.fulfil(status)
    }

    /// Writes a line of our own between the app's.
    func note(_ line: String) {
        log.append([line], stream: "berth", deployment: deployment, revision: revision)
    }

    private func take(_ bytes: [UInt8], _ stream: String) {
        let lines = state.withLock { state -> [String] in
            var pending = state.partial[stream, default: []] + bytes
            var lines: [String] = []
            while let end = pending.firstIndex(of: UInt8(ascii: "\n")) {
                lines.append(Self.text(pending[..<end]))
                pending.removeSubrange(...end)
            }
            if pending.count > LogBook.maximumLineLength {
                lines.append(Self.text(pending[...]))
                pending = []
            }
            state.partial[stream] = pending
            state.recent = (state.recent + lines).suffix(Self.recentLines)
            return lines
        }
        log.append(lines, stream: stream, deployment: deployment, revision: revision)
    }

    private func flush() {
        for stream in ["out", "err"] {
            let isPending = state.withLock { !($0.partial[stream] ?? []).isEmpty }
            if isPending { take([UInt8(ascii: "\n")], stream) }
        }
    }

    /// Apps are not trusted with the reader's terminal: control characters become visible.
    private static func text(_ bytes: ArraySlice<UInt8>) -> String {
        var text = String(decoding: bytes, as: UTF8.self)
        if text.hasSuffix("\r") { text.removeLast() }
        return String(
            String.UnicodeScalarView(
                text.unicodeScalars.map { scalar in
                    scalar.properties.generalCategory == .control && scalar != "\t" ? "\u{FFFD}" : scalar
                }))
    }
}
