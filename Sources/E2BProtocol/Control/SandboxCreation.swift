import DeploymentCore

/// What a client wants of a new sandbox (`POST /sandboxes`, `POST /v2/sandboxes`; protocol note 1.5).
public struct SandboxCreation: WireMessage, Equatable {
    /// An id, an alias, `alias:tag`, `namespace/alias:tag`, or the id of a snapshot.
    public var template: String
    /// Seconds until it ends; nil takes the default of the path that was asked.
    public var timeout: Int64?
    /// Whether it is paused instead of killed when its time is over.
    public var pausesOnTimeout: Bool
    /// Whether that pause keeps its processes; nil is yes.
    public var pausesWithMemory: Bool?
    /// Whether traffic resumes it.
    public var resumesOnTraffic: Bool
    /// Whether its agent asks for a token; nil where the path leaves no choice.
    public var isSecure: Bool?
    /// Whether it may reach the internet; nil is yes.
    public var allowsInternet: Bool?
    /// What it may reach and who may reach it.
    public var network: SandboxNetworkSettings?
    /// The client's own notes, to find it by.
    public var metadata: [String: String]
    /// Variables of every process.
    public var environment: [String: String]
    /// Volumes by the path they are shown at.
    public var volumes: [VolumeMount]
    /// Whether it asks for what is not offered here: `mcp`, `iam`.
    public var extras: Set<String>

    /// A volume and where it is shown.
    public struct VolumeMount: WireMessage, Equatable {
        /// The volume's name.
        public var name: String
        /// The absolute path inside.
        public var path: String

        /// Creates a mount.
        public init(name: String, path: String) {
            self.name = name
            self.path = path
        }

        /// Reads the message.
        public init(json: JSONValue) throws(ConnectError) {
            let reader = try MessageReader(json, "volumeMount")
            name = try reader.text("name")
            path = try reader.text("path")
        }

        /// The message as JSON.
        public var json: JSONValue { ["name": .string(name), "path": .string(path)] }
    }

    /// Creates a request.
    public init(
        template: String, timeout: Int64? = nil, pausesOnTimeout: Bool = false, pausesWithMemory: Bool? = nil,
        resumesOnTraffic: Bool = false, isSecure: Bool? = nil, allowsInternet: Bool? = nil,
        network: SandboxNetworkSettings? = nil, metadata: [String: String] = [:],
        environment: [String: String] = [:], volumes: [VolumeMount] = []
    ) {
        self.template = template
        self.timeout = timeout
        self.pausesOnTimeout = pausesOnTimeout
        self.pausesWithMemory = pausesWithMemory
        self.resumesOnTraffic = resumesOnTraffic
        self.isSecure = isSecure
        self.allowsInternet = allowsInternet
        self.network = network
        self.metadata = metadata
        self.environment = environment
        self.volumes = volumes
        extras = []
    }

    /// Reads the message.
    public init(json: JSONValue) throws(ConnectError) {
        let reader = try MessageReader(json, "sandbox")
        template = try reader.text("templateID")
        timeout = try reader.optionalInteger("timeout", in: .min ... .max)
        pausesOnTimeout = try reader.bool("autoPause")
        pausesWithMemory = try reader.optionalBool("autoPauseMemory")
        resumesOnTraffic =
            try reader.value("autoResume").map { value throws(ConnectError) in
                try MessageReader(value, "autoResume").bool("enabled")
            } ?? false
        isSecure = try reader.optionalBool("secure")
        allowsInternet = try reader.optionalBool("allowInternetAccess")
        network = try reader.value("network").map { value throws(ConnectError) in
            try SandboxNetworkSettings(json: value)
        }
        metadata = try reader.stringMap("metadata")
        environment = try reader.stringMap("envVars")
        volumes = []
        for value in try reader.messages("volumeMounts") { volumes.append(try VolumeMount(json: value)) }
        extras = Set(["mcp", "iam"].filter { reader.value($0) != nil })
    }

    /// The message as JSON, in the fields and with the defaults of the newest official client.
    public var json: JSONValue {
        var members: [String: JSONValue] = [
            "templateID": .string(template), "metadata": .object(metadata.mapValues { .string($0) }),
            "envVars": .object(environment.mapValues { .string($0) }),
        ]
        if let timeout { members["timeout"] = .integer(timeout) }
        if pausesOnTimeout { members["autoPause"] = true }
        if let pausesWithMemory { members["autoPauseMemory"] = .bool(pausesWithMemory) }
        if resumesOnTraffic { members["autoResume"] = ["enabled": true] }
        if let isSecure { members["secure"] = .bool(isSecure) }
        if let allowsInternet { members["allow_internet_access"] = .bool(allowsInternet) }
        if let network { members["network"] = network.json }
        if !volumes.isEmpty { members["volumeMounts"] = .array(volumes.map(\.json)) }
        return .object(members)
    }
}

extension MessageReader {
    /// A text that has to be there and not be empty.
    func text(_ field: String) throws(ConnectError) -> String {
        let text = try string(field)
        guard !text.isEmpty else { throw ConnectError(.invalidArgument, "\(field) is missing") }
        return text
    }
}
