import DeploymentCore
import DeploymentStore
import E2BProtocol

/// Which sandboxes a list has.
public struct SandboxQuery: Sendable, Equatable {
    /// The most rows of a page, and how many there are unless told.
    public static let maximumLimit = 100

    /// Notes that a sandbox has to have, all of them, exactly.
    public var metadata: [String: String]
    /// How it has to be.
    public var states: Set<SandboxInformation.State>
    /// The template's id or name; nil is any.
    public var template: String?
    /// Its run has to have begun later than this, in milliseconds since 1970.
    public var startedAfter: Int64?
    /// Whether the oldest come first.
    public var isAscending: Bool
    /// The most rows.
    public var limit: Int
    /// Where an earlier page ended.
    public var token: String?

    /// Creates a query.
    public init(
        metadata: [String: String] = [:], states: Set<SandboxInformation.State> = [.running, .paused],
        template: String? = nil, startedAfter: Int64? = nil, isAscending: Bool = false, limit: Int = maximumLimit,
        token: String? = nil
    ) {
        self.metadata = metadata
        self.states = states
        self.template = template
        self.startedAfter = startedAfter
        self.isAscending = isAscending
        self.limit = limit
        self.token = token
    }

    /// Selects from all sandboxes that clients can see.
    ///
    /// - Throws: 400 for a token that is not one of ours.
    func page(_ records: [HostedSandboxRecord]) throws(ControlFailure) -> SandboxPage {
        let place: Place? = if let token { try Place(token: token, isAscending: isAscending) } else { nil }
        let matching = records.filter { record in
            template.map { $0 == record.template || $0 == record.alias } ?? true
                && startedAfter.map { record.startedAt > $0 } ?? true
                && metadata.allSatisfy { record.metadata[$0.key] == $0.value }
        }
        let running = states.contains(.running) ? matching.count { $0.shown == .running } : nil
        let sorted = matching.filter { states.contains($0.shown) }.map { ($0, Place($0, isAscending)) }
            .sorted { $0.1 < $1.1 }
        let rest = sorted.filter { row in place.map { $0 < row.1 } ?? true }
        let rows = rest.prefix(limit)
        return SandboxPage(
            rows: rows.map(\.0), nextToken: rest.count > rows.count ? rows.last?.1.token : nil, running: running)
    }

    /// The place of a sandbox in the order of a list.
    private struct Place: Comparable {
        let startedAt: Int64
        let id: String
        let isAscending: Bool

        init(_ record: HostedSandboxRecord, _ isAscending: Bool) {
            startedAt = record.startedAt
            id = record.id
            self.isAscending = isAscending
        }

        init(token: String, isAscending: Bool) throws(ControlFailure) {
            let parts = Base64.decode(token.utf8).map { String(decoding: $0, as: UTF8.self) }?
                .split(separator: ",", omittingEmptySubsequences: false)
            guard let parts, parts.count == 3, let startedAt = Int64(parts[0]), !parts[1].isEmpty,
                parts[2] == (isAscending ? "asc" : "desc")
            else { throw ControlFailure(400, "nextToken is not one that this list gave") }
            self.startedAt = startedAt
            id = String(parts[1])
            self.isAscending = isAscending
        }

        /// For a URL: what base64 has two characters for that a query would need encoded.
        var token: String {
            let text = Base64.encode(Array("\(startedAt),\(id),\(isAscending ? "asc" : "desc")".utf8))
            let safe = text.filter { $0 != UInt8(ascii: "=") }.map { byte -> UInt8 in
                byte == UInt8(ascii: "+") ? UInt8(ascii: "-") : byte == UInt8(ascii: "/") ? UInt8(ascii: "_") : byte
            }
            return String(decoding: safe, as: UTF8.self)
        }

        /// What is listed earlier is less; of the same time the lower id.
        static func < (left: Place, right: Place) -> Bool {
            guard left.startedAt == right.startedAt else {
                return left.isAscending ? left.startedAt < right.startedAt : left.startedAt > right.startedAt
            }
            return left.id < right.id
        }
    }
}

/// A page of a list.
struct SandboxPage: Sendable, Equatable {
    var rows: [HostedSandboxRecord]
    /// Where the next page begins; nil on the last.
    var nextToken: String?
    /// How many of those that match run; nil where running ones were not asked for.
    var running: Int?
}

extension HostedSandboxRecord {
    /// How clients see it: what is about to change is shown as paused.
    var shown: SandboxInformation.State { state == .running ? .running : .paused }
    /// What the pause at the end of its time keeps.
    var pauseAtEnd: PauseMode { pausesWithMemory ? .full : .filesystem }
    /// What its pause kept; nil where it is not paused yet, or not any more.
    var shownPause: SandboxInformation.PauseMode? {
        guard state == .paused || state == .resuming else { return nil }
        return pauseMode == .filesystem ? .filesystem : .full
    }
    /// Whether traffic resumes it when it is paused: never one that has to start anew.
    var isWokenByTraffic: Bool { resumesOnTraffic && pauseMode != .filesystem }
    /// Its files, where they are all that is left of it.
    var keptFiles: KeptFiles? {
        guard let archive, let content else { return nil }
        return KeptFiles(archive: archive, content: content)
    }
    /// Whether clients know it.
    var isVisible: Bool { state != .creating && state != .ending }
    /// Whether it counts as one of those that may run at once.
    var isCounted: Bool { [.creating, .running, .pausing, .resuming].contains(state) }
}
