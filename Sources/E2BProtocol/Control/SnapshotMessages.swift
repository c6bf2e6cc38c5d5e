import DeploymentCore

/// Asks for a snapshot of a sandbox (`POST /sandboxes/{id}/snapshots`; protocol note 1.8).
public struct SnapshotRequest: WireMessage, Equatable {
    /// What to find it by.
    public var name: String?
    /// Whether the memory of processes belongs to it; nil is yes.
    public var keepsMemory: Bool?

    /// Creates a request.
    public init(name: String? = nil, keepsMemory: Bool? = nil) {
        self.name = name
        self.keepsMemory = keepsMemory
    }

    /// Reads the message.
    public init(json: JSONValue) throws(ConnectError) {
        let reader = try MessageReader(json, "snapshot")
        name = try reader.optionalString("name").flatMap { $0.isEmpty ? nil : $0 }
        keepsMemory = try reader.optionalBool("memory")
    }

    /// The message as JSON.
    public var json: JSONValue {
        var members: [String: JSONValue] = [:]
        if let name { members["name"] = .string(name) }
        if let keepsMemory { members["memory"] = .bool(keepsMemory) }
        return .object(members)
    }
}

/// A snapshot: the answer to its creation, and a row of the list.
public struct SnapshotInformation: WireMessage, Equatable {
    /// The id, usable as a template's: `default/name:default`, or `id:default` where it has no name.
    public var snapshot: String
    /// Its names.
    public var names: [String]

    /// Creates a description.
    public init(snapshot: String, names: [String]) {
        self.snapshot = snapshot
        self.names = names
    }

    /// Reads the message.
    public init(json: JSONValue) throws(ConnectError) {
        let reader = try MessageReader(json, "snapshot")
        snapshot = try reader.text("snapshotID")
        names = try reader.strings("names")
    }

    /// The message as JSON.
    public var json: JSONValue {
        ["snapshotID": .string(snapshot), "names": .array(names.map { .string($0) })]
    }
}

/// Asks for copies of a sandbox (`POST /sandboxes/{id}/fork`).
public struct ForkRequest: WireMessage, Equatable {
    /// What a timeout is unless it is said.
    public static let defaultTimeout: Int64 = 15
    /// The most copies at once.
    public static let maximumCount: Int64 = 100

    /// Seconds until the copies end.
    public var timeout: Int64
    /// How many copies.
    public var count: Int

    /// Creates a request.
    public init(timeout: Int64 = defaultTimeout, count: Int = 1) {
        self.timeout = timeout
        self.count = count
    }

    /// Reads the message.
    public init(json: JSONValue) throws(ConnectError) {
        let reader = try MessageReader(json, "fork")
        timeout = try reader.optionalInteger("timeout", in: .min ... .max) ?? Self.defaultTimeout
        guard timeout > 0 else { throw ConnectError(.invalidArgument, "Timeout must be greater than 0") }
        count = Int(try reader.optionalInteger("count", in: 1...Self.maximumCount) ?? 1)
    }

    /// The message as JSON.
    public var json: JSONValue { ["timeout": .integer(timeout), "count": .integer(Int64(count))] }
}

/// One copy, or why there is none.
public enum ForkResult: Sendable, Equatable {
    /// The copy.
    case sandbox(SandboxHandle)
    /// Why there is none.
    case failure(ControlFailure)

    /// The message as JSON.
    public var json: JSONValue {
        switch self {
        case .sandbox(let handle): ["sandbox": handle.json]
        case .failure(let failure): ["error": failure.json]
        }
    }
}
