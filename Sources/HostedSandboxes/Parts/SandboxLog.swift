import DeploymentCore

/// What is told of one sandbox: what happened to it, and what its start command printed. Bounded; the oldest go first.
public final class SandboxLog: Sendable {
    /// The most lines.
    public static let capacity = 2_000
    /// The longest line in characters; longer ones are cut.
    public static let maximumLine = 4_096

    /// How much a line matters.
    public enum Level: String, Sendable, CaseIterable, Comparable {
        case debug, info, warn, error

        /// Less serious is less.
        public static func < (left: Level, right: Level) -> Bool {
            (allCases.firstIndex(of: left) ?? 0) < (allCases.firstIndex(of: right) ?? 0)
        }
    }

    /// One line.
    public struct Line: Sendable, Equatable {
        /// When, in milliseconds since 1970.
        public var time: Int64
        /// How much it matters.
        public var level: Level
        /// The text.
        public var message: String
        /// Where it comes from: `sandbox`, or `start command`.
        public var source: String
    }

    private let lines: Locked<[Line]>
    private let file: LineFile?

    /// Goes on with what a file holds; without one it is known to this control plane alone.
    init(file: LineFile? = nil) {
        self.file = file
        lines = Locked((file?.load() ?? []).compactMap { (try? JSONValue(parsing: $0)).flatMap(Line.init(json:)) })
    }

    func append(_ message: String, _ level: Level = .info, source: String = "sandbox", at time: Int64) {
        let text = String(VisibleText.of(message).prefix(Self.maximumLine))
        lines.withLock { lines in
            if lines.count >= Self.capacity { lines.removeFirst(Self.capacity / 10) }
            let line = Line(time: time, level: level, message: text, source: source)
            lines.append(line)
            file?.append(line.json.encoded()) { lines.map { $0.json.encoded() } }
        }
    }

    /// Removes what is on disk.
    func remove() { file?.remove() }

    var all: [Line] { lines.withLock { $0 } }
}

extension SandboxLog.Line {
    /// A line as it is on disk; nil when it is none.
    fileprivate init?(json: JSONValue) {
        guard let time = json["time"]?.integer, let message = json["message"]?.string,
            let source = json["source"]?.string,
            let level = json["level"]?.string.flatMap(SandboxLog.Level.init(rawValue:))
        else { return nil }
        self.init(time: time, level: level, message: message, source: source)
    }

    fileprivate var json: JSONValue {
        [
            "time": .integer(time), "level": .string(level.rawValue), "message": .string(message),
            "source": .string(source),
        ]
    }
}

/// Which lines of a log are wanted.
public struct LogQuery: Sendable, Equatable {
    /// The most lines of an answer.
    public static let maximumLimit = 1_000

    /// The time to begin at, in milliseconds since 1970; nil is the beginning, or the end when backward.
    public var cursor: Int64?
    /// The most lines.
    public var limit: Int
    /// Whether the newest come first.
    public var isBackward: Bool
    /// The least level.
    public var level: SandboxLog.Level?
    /// What the text has to contain.
    public var search: String?

    /// Creates a query.
    public init(
        cursor: Int64? = nil, limit: Int = maximumLimit, isBackward: Bool = false, level: SandboxLog.Level? = nil,
        search: String? = nil
    ) {
        self.cursor = cursor
        self.limit = limit
        self.isBackward = isBackward
        self.level = level
        self.search = search
    }

    func select(_ lines: [SandboxLog.Line]) -> [SandboxLog.Line] {
        let wanted = lines.filter { line in
            if let cursor, isBackward ? line.time > cursor : line.time < cursor { return false }
            if let level, line.level < level { return false }
            return search.map { line.message.contains($0) } ?? true
        }
        return Array((isBackward ? wanted.reversed() : wanted).prefix(limit))
    }
}
