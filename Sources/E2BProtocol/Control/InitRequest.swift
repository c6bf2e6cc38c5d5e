import DeploymentCore

/// What the owner of a sandbox tells its agent (`POST /init`).
public struct InitRequest: WireMessage, Equatable {
    /// Variables for every process; nil leaves them as they are.
    public var environment: [String: String]?
    /// What callers have to show in `X-Access-Token`; nil or empty for nothing.
    public var accessToken: String?
    /// When this was said; what was said earlier does not replace it.
    public var timestamp: Timestamp?
    /// The user that processes belong to; nil leaves it.
    public var defaultUser: String?
    /// Where processes start and empty paths lead; nil leaves it.
    public var defaultWorkdir: String?
    /// Whether volumes are to be mounted, which our agent cannot do.
    public var hasVolumes = false

    /// Creates a request.
    public init(
        environment: [String: String]? = nil, accessToken: String? = nil, timestamp: Timestamp? = nil,
        defaultUser: String? = nil, defaultWorkdir: String? = nil
    ) {
        self.environment = environment
        self.accessToken = accessToken
        self.timestamp = timestamp
        self.defaultUser = defaultUser
        self.defaultWorkdir = defaultWorkdir
    }

    /// Reads the message.
    public init(json: JSONValue) throws(ConnectError) {
        let reader = try MessageReader(json, "init")
        if reader.value("envVars") != nil { environment = try reader.stringMap("envVars") }
        accessToken = try reader.optionalString("accessToken")
        defaultUser = try reader.optionalString("defaultUser")
        defaultWorkdir = try reader.optionalString("defaultWorkdir")
        hasVolumes = try !reader.messages("volumeMounts").isEmpty
        if let text = try reader.optionalString("timestamp") {
            guard let time = Timestamp(text: text) else {
                throw ConnectError(.invalidArgument, "init.timestamp is not RFC 3339")
            }
            timestamp = time
        }
    }

    /// The message as JSON.
    public var json: JSONValue {
        var members: [String: JSONValue] = [:]
        if let environment { members["envVars"] = .object(environment.mapValues { .string($0) }) }
        if let accessToken { members["accessToken"] = .string(accessToken) }
        if let timestamp { members["timestamp"] = .string(timestamp.text) }
        if let defaultUser { members["defaultUser"] = .string(defaultUser) }
        if let defaultWorkdir { members["defaultWorkdir"] = .string(defaultWorkdir) }
        return .object(members)
    }
}

/// Joins files into one (`POST /files/compose`).
public struct ComposeRequest: WireMessage, Equatable {
    /// The files, in their order; they are deleted.
    public var sources: [String]
    /// The file they become.
    public var destination: String
    /// As whom; nil for the default user.
    public var user: String?

    /// Creates a request.
    public init(sources: [String], destination: String, user: String? = nil) {
        self.sources = sources
        self.destination = destination
        self.user = user
    }

    /// Reads the message.
    public init(json: JSONValue) throws(ConnectError) {
        let reader = try MessageReader(json, "compose")
        sources = try reader.strings("sourcePaths")
        destination = try reader.string("destination")
        user = try reader.optionalString("username")
    }

    /// The message as JSON.
    public var json: JSONValue {
        var members: [String: JSONValue] = [
            "source_paths": .array(sources.map { .string($0) }), "destination": .string(destination),
        ]
        if let user { members["username"] = .string(user) }
        return .object(members)
    }
}
