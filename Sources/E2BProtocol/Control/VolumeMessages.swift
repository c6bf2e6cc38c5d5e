import DeploymentCore

/// A volume as its owner sees it.
public struct VolumeInformation: Sendable, Equatable {
    /// The id.
    public var volume: String
    /// The name that sandboxes mount it by.
    public var name: String
    /// What its contents ask for; nil in lists.
    public var token: String?

    /// Creates the information.
    public init(volume: String, name: String, token: String? = nil) {
        self.volume = volume
        self.name = name
        self.token = token
    }

    /// The message as JSON.
    public var json: JSONValue {
        var members: [String: JSONValue] = ["volumeID": .string(volume), "name": .string(name)]
        if let token { members["token"] = .string(token) }
        return .object(members)
    }
}

/// Something in a volume.
public struct VolumeEntry: Sendable, Equatable {
    /// What it is.
    public enum Kind: String, Sendable {
        case file, directory, symlink, unknown
    }

    /// Its path in the volume, beginning with a slash.
    public var path: String
    /// What it is; of a link, the link.
    public var kind: Kind
    /// Bytes.
    public var size: Int64
    /// The permissions.
    public var mode: Int64
    /// The owner, as numbered in sandboxes.
    public var user: Int64
    /// The group, as numbered in sandboxes.
    public var group: Int64
    /// When it was read, written and changed.
    public var times: (read: Timestamp, written: Timestamp, changed: Timestamp)
    /// What a link says.
    public var target: String?

    /// Creates an entry.
    public init(
        path: String, kind: Kind, size: Int64, mode: Int64, user: Int64, group: Int64,
        times: (read: Timestamp, written: Timestamp, changed: Timestamp), target: String? = nil
    ) {
        self.path = path
        self.kind = kind
        self.size = size
        self.mode = mode
        self.user = user
        self.group = group
        self.times = times
        self.target = target
    }

    /// Whether both are the same in everything.
    public static func == (one: VolumeEntry, other: VolumeEntry) -> Bool { one.json == other.json }

    /// The message as JSON.
    public var json: JSONValue {
        let name = path == "/" ? "/" : String(path[path.index(after: path.lastIndex(of: "/") ?? path.startIndex)...])
        var members: [String: JSONValue] = [
            "name": .string(name), "type": .string(kind.rawValue), "path": .string(path), "size": .integer(size),
            "mode": .integer(mode), "uid": .integer(user), "gid": .integer(group),
            "atime": .string(times.read.text), "mtime": .string(times.written.text),
            "ctime": .string(times.changed.text),
        ]
        if let target { members["target"] = .string(target) }
        return .object(members)
    }
}

/// Who is to own something in a volume, and who may do what with it.
public struct VolumeAttributes: Sendable, Equatable {
    /// The owner, as numbered in sandboxes.
    public var user: Int64?
    /// The group, as numbered in sandboxes.
    public var group: Int64?
    /// The permissions.
    public var mode: Int64?

    private static let ids: ClosedRange<Int64> = 0...65_535
    private static let modes: ClosedRange<Int64> = 0...0o7777

    /// Reads the numbers that `number` finds by name.
    ///
    /// - Throws: `invalid_argument` for a number that none can be.
    public init(_ number: (String) throws(ConnectError) -> Int64?) throws(ConnectError) {
        user = try Self.checked("uid", number, Self.ids)
        group = try Self.checked("gid", number, Self.ids)
        mode = try Self.checked("mode", number, Self.modes)
    }

    private static func checked(
        _ name: String, _ number: (String) throws(ConnectError) -> Int64?, _ range: ClosedRange<Int64>
    ) throws(ConnectError) -> Int64? {
        guard let value = try number(name) else { return nil }
        guard range.contains(value) else {
            throw ConnectError(
                .invalidArgument, "\(name) has to be between \(range.lowerBound) and \(range.upperBound)")
        }
        return value
    }
}

/// The body of an error about a volume's contents, whose code is a word.
public struct VolumeFailure: Error, Sendable, Equatable {
    /// The HTTP status.
    public var status: Int
    /// The kind, as `PATH_NOT_FOUND`.
    public var code: String
    /// What is wrong.
    public var message: String

    /// Creates a failure.
    public init(_ status: Int, _ code: String, _ message: String) {
        self.status = status
        self.code = code
        self.message = message
    }

    /// The message as JSON.
    public var json: JSONValue { ["code": .string(code), "message": .string(message)] }
}
