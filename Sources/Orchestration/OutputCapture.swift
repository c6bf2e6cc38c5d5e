import DeploymentCore
import Sandboxes
import Waiting

/// Reads a process to its end: its lines go to the log book, the last ones are kept for error reports.
final class OutputCapture: Sendable {
    /// Lines kept for an error report.
    static let recentLines = 40
    /// The characters of each that an error report shows.
    static let recentLength = 1_000

    /// How much output is read in a second, at most. An app that prints without end waits then, or loses lines, and its
    /// neighbours do not pay for them.
    static let pace = 4 << 20
    /// How many bytes a line counts for besides its own: short lines are as much work as longer ones.
    static let lineCost = 128
    /// What is read in one go: so little that nobody waits long for it.
    static let portion = 8 << 10
    /// What may be read before the first rest.
    static let restAfter = 64 << 10

    /// How often a broken stream is subscribed to again before the sandbox counts as gone.
    static let resubscribeAttempts = 5
    /// The wait before the first of them; each later one waits this much longer.
    static let resubscribeDelay = Duration.milliseconds(100)

    private struct State {
        var partial: [String: [UInt8]] = [:]
        var recent: [String] = []
        var isClosed = false
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

    /// The last lines, oldest first, each cut to what a report can carry.
    var recent: String {
        state.withLock { $0.recent.map { String($0.prefix(Self.recentLength)) }.joined(separator: "\n") }
    }

    /// Reads until the process ends or its sandbox goes away.
    ///
    /// Only an ending is an exit: a stream that breaks for another reason, ours included, is subscribed to again, and
    /// the agent replays what nobody has read.
    func run(_ process: any SandboxProcess, in sandbox: any Sandbox, clock: any Clock<Duration>) async {
        var process = process
        var attempts = 0
        var unpaid = 0
        while !Task.isCancelled {
            do {
                for try await event in process.events {
                    attempts = 0
                    switch event {
                    case .stdout(let bytes): try await take(bytes, "out", &unpaid, clock)
                    case .stderr(let bytes): try await take(bytes, "err", &unpaid, clock)
                    case .ended(let ending):
                        await tellLimits(of: sandbox)
                        return end(ending)
                    }
                }
            } catch {
                if !isOver { note("the output broke off") }
            }
            if isOver { return }
            do {
                attempts += 1
                try await clock.pause(for: Self.resubscribeDelay * attempts)
                process = try await sandbox.process(tagged: Replica.processTag)
            } catch {
                if isOver { return }
                let isGone = (error as? BerthError)?.code == .notFound
                guard isGone || attempts >= Self.resubscribeAttempts else { continue }
                note("the sandbox went away")
                await tellLimits(of: sandbox)
                return end(nil)
            }
        }
    }

    /// Says which limits the app ran into, where the reader of a failure finds it.
    private func tellLimits(of sandbox: any Sandbox) async {
        for limit in await sandbox.exceededLimits() {
            note(limit.description)
            state.withLock { $0.recent.append(limit.description) }
        }
    }

    private func end(_ status: ExitStatus?) {
        flush()
        exit.fulfil(status)
    }

    /// Says why the process is ended by us, so that its end is no news.
    func close(_ reason: String) {
        note(reason)
        state.withLock { $0.isClosed = true }
    }

    private var isOver: Bool { Task.isCancelled || state.withLock(\.isClosed) }

    /// Writes a line of our own between the app's.
    func note(_ line: String) {
        log.append([VisibleText.of(line)], stream: "berth", deployment: deployment, revision: revision)
    }

    /// Writes what was printed, at no more than the pace; nobody waits for the flood of a process that we ended.
    private func take(
        _ bytes: [UInt8], _ stream: String, _ unpaid: inout Int, _ clock: any Clock<Duration>
    ) async throws {
        for start in stride(from: 0, to: bytes.count, by: Self.portion) {
            if unpaid >= Self.restAfter {
                if isOver { return }
                try await clock.pause(for: .seconds(Double(unpaid) / Double(Self.pace)))
                unpaid = 0
            }
            unpaid += take(bytes[start..<min(start + Self.portion, bytes.count)], stream)
        }
    }

    /// Writes the lines that are complete; what the work counts for.
    @discardableResult private func take(_ bytes: ArraySlice<UInt8>, _ stream: String) -> Int {
        let lines = state.withLock { state -> [String] in
            let pending = state.partial[stream, default: []] + bytes
            var lines: [String] = []
            var start = 0
            while start < pending.count {
                let limit = min(start + LogBook.maximumLineLength, pending.count)
                if let end = pending[start..<limit].firstIndex(of: UInt8(ascii: "\n")) {
                    lines.append(Self.text(pending[start..<end]))
                    start = end + 1
                } else if limit - start == LogBook.maximumLineLength {
                    lines.append(Self.text(pending[start..<limit]))
                    start = limit
                } else {
                    break
                }
            }
            state.partial[stream] = Array(pending[start...])
            state.recent = Array((state.recent + lines.suffix(Self.recentLines)).suffix(Self.recentLines))
            return lines
        }
        log.append(lines, stream: stream, deployment: deployment, revision: revision)
        return bytes.count + lines.count * Self.lineCost
    }

    private func flush() {
        for stream in ["out", "err"] {
            let isPending = state.withLock { !($0.partial[stream] ?? []).isEmpty }
            if isPending { take([UInt8(ascii: "\n")], stream) }
        }
    }

    private static func text(_ bytes: ArraySlice<UInt8>) -> String {
        var text = String(decoding: bytes, as: UTF8.self)
        if text.hasSuffix("\r") { text.removeLast() }
        return VisibleText.of(text)
    }
}
