import DeploymentCore

/// Names a path (`filesystem.StatRequest`, `MakeDirRequest`, `RemoveRequest`).
public struct PathRequest: WireMessage, Equatable {
    /// Absolute, relative to the home folder, or beginning with `~/`.
    public var path: String

    /// Creates a request.
    public init(path: String) { self.path = path }

    /// Reads the message.
    public init(json: JSONValue) throws(ConnectError) { path = try MessageReader(json, "request").string("path") }

    /// The message as JSON.
    public var json: JSONValue { ["path": .string(path)] }
}

/// Renames (`filesystem.MoveRequest`).
public struct MoveRequest: WireMessage, Equatable {
    /// What to rename.
    public var source: String
    /// What it is called then; its folders are made.
    public var destination: String

    /// Creates a request.
    public init(source: String, destination: String) {
        self.source = source
        self.destination = destination
    }

    /// Reads the message.
    public init(json: JSONValue) throws(ConnectError) {
        let reader = try MessageReader(json, "request")
        source = try reader.string("source")
        destination = try reader.string("destination")
    }

    /// The message as JSON.
    public var json: JSONValue { ["source": .string(source), "destination": .string(destination)] }
}

/// Lists a folder (`filesystem.ListDirRequest`).
public struct ListDirRequest: WireMessage, Equatable {
    /// The folder.
    public var path: String
    /// How many levels; 0 counts as 1.
    public var depth: Int

    /// Creates a request.
    public init(path: String, depth: Int = 1) {
        self.path = path
        self.depth = depth
    }

    /// Reads the message.
    public init(json: JSONValue) throws(ConnectError) {
        let reader = try MessageReader(json, "request")
        path = try reader.string("path")
        depth = try reader.unsigned("depth")
    }

    /// The message as JSON.
    public var json: JSONValue { ["path": .string(path), "depth": .integer(Int64(depth))] }
}

/// One entry (`filesystem.StatResponse`, `MakeDirResponse`, `MoveResponse`).
public struct EntryResponse: WireMessage, Equatable {
    /// The entry.
    public var entry: EntryInfo

    /// Creates a response.
    public init(entry: EntryInfo) { self.entry = entry }

    /// Reads the message.
    public init(json: JSONValue) throws(ConnectError) {
        entry = try EntryInfo(json: try MessageReader(json, "response").required("entry"))
    }

    /// The message as JSON.
    public var json: JSONValue { ["entry": entry.json] }
}

/// The entries of a folder (`filesystem.ListDirResponse`).
public struct ListDirResponse: WireMessage, Equatable {
    /// The entries, depth first, by name.
    public var entries: [EntryInfo]

    /// Creates a response.
    public init(entries: [EntryInfo]) { self.entries = entries }

    /// Reads the message.
    public init(json: JSONValue) throws(ConnectError) {
        entries = []
        for entry in try MessageReader(json, "response").messages("entries") {
            entries.append(try EntryInfo(json: entry))
        }
    }

    /// The message as JSON.
    public var json: JSONValue { ["entries": .array(entries.map(\.json))] }
}

/// What an upload made (an element of the answer of `POST /files`).
public struct WrittenFile: WireMessage, Equatable {
    /// The last component of the path.
    public var name: String
    /// The absolute path.
    public var path: String
    /// What was noted about it.
    public var metadata: [String: String]

    /// Creates an entry.
    public init(name: String, path: String, metadata: [String: String] = [:]) {
        self.name = name
        self.path = path
        self.metadata = metadata
    }

    /// Reads the message.
    public init(json: JSONValue) throws(ConnectError) {
        let reader = try MessageReader(json, "file")
        name = try reader.string("name")
        path = try reader.string("path")
        metadata = try reader.stringMap("metadata")
    }

    /// The message as JSON.
    public var json: JSONValue {
        var members: [String: JSONValue] = ["name": .string(name), "path": .string(path), "type": "file"]
        if !metadata.isEmpty { members["metadata"] = .object(metadata.mapValues { .string($0) }) }
        return .object(members)
    }
}
