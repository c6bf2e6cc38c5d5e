import DeploymentCore

/// What happened to a file (`filesystem.EventType`).
public enum FileEventType: Int, Sendable, CaseIterable, WireEnumeration {
    case unspecified = 0
    case create = 1
    case write = 2
    case remove = 3
    case rename = 4
    case chmod = 5

    /// The name on the wire.
    public var name: String {
        switch self {
        case .unspecified: "EVENT_TYPE_UNSPECIFIED"
        case .create: "EVENT_TYPE_CREATE"
        case .write: "EVENT_TYPE_WRITE"
        case .remove: "EVENT_TYPE_REMOVE"
        case .rename: "EVENT_TYPE_RENAME"
        case .chmod: "EVENT_TYPE_CHMOD"
        }
    }
}

/// Something that happened in a watched folder (`filesystem.FilesystemEvent`).
public struct FilesystemEvent: WireMessage, Equatable {
    /// What it happened to, relative to the watched folder; `.` is the folder itself.
    public var name: String
    /// What happened.
    public var type: FileEventType
    /// What is there now, when that was asked for.
    public var entry: EntryInfo?

    /// Creates an event.
    public init(name: String, type: FileEventType, entry: EntryInfo? = nil) {
        self.name = name
        self.type = type
        self.entry = entry
    }

    /// Reads the message.
    public init(json: JSONValue) throws(ConnectError) {
        let reader = try MessageReader(json, "event")
        name = try reader.string("name")
        type = try reader.enumeration("type")
        if let entry = reader.value("entry") { self.entry = try EntryInfo(json: entry) }
    }

    /// The message as JSON.
    public var json: JSONValue {
        var members: [String: JSONValue] = ["name": .string(name), "type": .string(type.name)]
        if let entry { members["entry"] = entry.json }
        return .object(members)
    }
}

/// Watches a folder (`filesystem.WatchDirRequest`, `CreateWatcherRequest`).
public struct WatchRequest: WireMessage, Equatable {
    /// The folder.
    public var path: String
    /// Whether folders in it are watched too, those that come later included.
    public var recursive: Bool
    /// Whether events tell what is there now.
    public var includeEntry: Bool
    /// Whether the folder may be of another machine, where changes made there are not seen.
    public var allowNetworkMounts: Bool

    /// Creates a request.
    public init(
        path: String, recursive: Bool = false, includeEntry: Bool = false, allowNetworkMounts: Bool = false
    ) {
        self.path = path
        self.recursive = recursive
        self.includeEntry = includeEntry
        self.allowNetworkMounts = allowNetworkMounts
    }

    /// Reads the message.
    public init(json: JSONValue) throws(ConnectError) {
        let reader = try MessageReader(json, "request")
        path = try reader.string("path")
        recursive = try reader.bool("recursive")
        includeEntry = try reader.bool("includeEntry")
        allowNetworkMounts = try reader.bool("allowNetworkMounts")
    }

    /// The message as JSON.
    public var json: JSONValue {
        [
            "path": .string(path), "recursive": .bool(recursive), "includeEntry": .bool(includeEntry),
            "allowNetworkMounts": .bool(allowNetworkMounts),
        ]
    }
}

/// One message of a watch's stream (`filesystem.WatchDirResponse`).
public enum WatchDirResponse: WireMessage, Equatable {
    /// The folder is watched. Always the first message.
    case start
    /// Something happened.
    case event(FilesystemEvent)
    /// Nothing happened for the keepalive interval.
    case keepalive

    /// Reads the message.
    public init(json: JSONValue) throws(ConnectError) {
        let reader = try MessageReader(json, "response")
        if let event = reader.value("filesystem") {
            self = .event(try FilesystemEvent(json: event))
        } else if reader.value("start") != nil {
            self = .start
        } else if reader.value("keepalive") != nil {
            self = .keepalive
        } else {
            throw ConnectError(.invalidArgument, "the message is none of start, filesystem and keepalive")
        }
    }

    /// The message as JSON.
    public var json: JSONValue {
        switch self {
        case .start: ["start": [:]]
        case .event(let event): ["filesystem": event.json]
        case .keepalive: ["keepalive": [:]]
        }
    }
}

/// Names a watcher (`filesystem.CreateWatcherResponse`, `GetWatcherEventsRequest`, `RemoveWatcherRequest`).
public struct WatcherReference: WireMessage, Equatable {
    /// Its id.
    public var watcherID: String

    /// Creates a reference.
    public init(watcherID: String) { self.watcherID = watcherID }

    /// Reads the message.
    public init(json: JSONValue) throws(ConnectError) {
        watcherID = try MessageReader(json, "request").string("watcherId")
    }

    /// The message as JSON.
    public var json: JSONValue { ["watcherId": .string(watcherID)] }
}

/// What happened since the last question (`filesystem.GetWatcherEventsResponse`).
public struct WatcherEventsResponse: WireMessage, Equatable {
    /// The events, in their order.
    public var events: [FilesystemEvent]

    /// Creates a response.
    public init(events: [FilesystemEvent]) { self.events = events }

    /// Reads the message.
    public init(json: JSONValue) throws(ConnectError) {
        events = []
        for event in try MessageReader(json, "response").messages("events") {
            events.append(try FilesystemEvent(json: event))
        }
    }

    /// The message as JSON.
    public var json: JSONValue { ["events": .array(events.map(\.json))] }
}
