import DeploymentCore
import DeploymentStore

/// The log of one build, written in handfuls.
actor BuildLog {
    /// Lines that wait to be written.
    private static let handful = 64
    /// The longest line, in bytes; the rest of it is cut off.
    private static let lineLimit = 16 << 10

    private let store: DeploymentStore
    private let build: String
    private let now: @Sendable () -> Int64
    private var waiting: [BuildLogRecord] = []
    private var partial: [String: [UInt8]] = [:]

    init(store: DeploymentStore, build: String, now: @escaping @Sendable () -> Int64) {
        self.store = store
        self.build = build
        self.now = now
    }

    /// Writes a line.
    func write(_ message: String, level: String = "info", step: String?) {
        let text = String(decoding: Array(message.utf8.prefix(Self.lineLimit)), as: UTF8.self)
        waiting.append(BuildLogRecord(build: build, time: now(), level: level, message: text, step: step))
        if waiting.count >= Self.handful { flush() }
    }

    /// Writes the lines of what a command says; the last one when it is complete.
    func write(_ bytes: [UInt8], stream: String, prefix: String, step: String?) {
        var text = partial[stream] ?? []
        text += bytes
        while let end = text.firstIndex(of: UInt8(ascii: "\n")) {
            write(prefix + String(decoding: text[..<end], as: UTF8.self), step: step)
            text.removeSubrange(...end)
        }
        if text.count > Self.lineLimit {
            write(prefix + String(decoding: text, as: UTF8.self), step: step)
            text = []
        }
        partial[stream] = text
        // Whoever follows the build sees what it says at once.
        flush()
    }

    /// Writes lines that have no end yet.
    func finishLines(prefix: @Sendable (_ stream: String) -> String, step: String?) {
        for (stream, text) in partial.sorted(by: { $0.key < $1.key }) where !text.isEmpty {
            write(prefix(stream) + String(decoding: text, as: UTF8.self), step: step)
        }
        partial = [:]
        flush()
    }

    /// Gives what waits to the store.
    func flush() {
        guard !waiting.isEmpty else { return }
        // A log that cannot be written does not end the build; its state could not be written either.
        try? store.append(waiting, of: build)
        waiting = []
    }
}
