import DeploymentCore

/// What is known of a sandbox: a row of the list, and with more fields the answer to get (protocol note 1.7).
public struct SandboxInformation: WireMessage, Equatable {
    /// How a sandbox is.
    public enum State: String, Sendable, CaseIterable {
        case running, paused
    }

    /// What a pause kept.
    public enum PauseMode: String, Sendable, CaseIterable {
        /// Files and processes.
        case full
        /// Files alone: a resumption starts the sandbox anew.
        case filesystem
    }

    /// The handle's parts; tokens only in the answer to get.
    public var handle: SandboxHandle
    /// When it was made, or resumed for the last time.
    public var startedAt: Timestamp
    /// When it ends or is paused; of a paused one when that was.
    public var endAt: Timestamp
    /// Processors.
    public var processors: Int
    /// Memory in MiB.
    public var memoryMiB: Int
    /// Disk in MiB.
    public var diskMiB: Int
    /// How it is.
    public var state: State
    /// What its pause kept; nil for one that runs or is about to be paused.
    public var pauseMode: PauseMode?
    /// The client's own notes.
    public var metadata: [String: String]
    /// The mounted volumes.
    public var volumes: [SandboxCreation.VolumeMount]
    /// What only the answer to get tells; nil in a list.
    public var detail: Detail?

    /// What only the answer to get tells.
    public struct Detail: Sendable, Equatable {
        /// Whether it may reach the internet; nil where it was not said.
        public var allowsInternet: Bool?
        /// What it may reach and who may reach it.
        public var network: SandboxNetworkSettings?
        /// Whether traffic resumes it.
        public var resumesOnTraffic: Bool
        /// Whether it is paused instead of killed when its time is over.
        public var pausesOnTimeout: Bool

        /// Creates details.
        public init(
            allowsInternet: Bool? = nil, network: SandboxNetworkSettings? = nil, resumesOnTraffic: Bool,
            pausesOnTimeout: Bool
        ) {
            self.allowsInternet = allowsInternet
            self.network = network
            self.resumesOnTraffic = resumesOnTraffic
            self.pausesOnTimeout = pausesOnTimeout
        }
    }

    /// Creates a description.
    public init(
        handle: SandboxHandle, startedAt: Timestamp, endAt: Timestamp, processors: Int, memoryMiB: Int, diskMiB: Int,
        state: State, pauseMode: PauseMode? = nil, metadata: [String: String],
        volumes: [SandboxCreation.VolumeMount] = [], detail: Detail? = nil
    ) {
        self.handle = handle
        self.startedAt = startedAt
        self.endAt = endAt
        self.processors = processors
        self.memoryMiB = memoryMiB
        self.diskMiB = diskMiB
        self.state = state
        self.pauseMode = pauseMode
        self.metadata = metadata
        self.volumes = volumes
        self.detail = detail
    }

    /// Reads the message.
    public init(json: JSONValue) throws(ConnectError) {
        handle = try SandboxHandle(json: json)
        let reader = try MessageReader(json, "sandbox")
        startedAt = try reader.time("startedAt")
        endAt = try reader.time("endAt")
        processors = try reader.unsigned("cpuCount")
        memoryMiB = try reader.unsigned("memoryMB")
        diskMiB = try reader.unsigned("diskSizeMB")
        let name = try reader.text("state")
        guard let known = State(rawValue: name) else {
            throw ConnectError(.invalidArgument, "sandbox.state has no value \(name)")
        }
        state = known
        // One that a later server knows and we do not is no reason to refuse the rest.
        pauseMode = try reader.optionalString("pauseMode").flatMap(PauseMode.init(rawValue:))
        metadata = try reader.stringMap("metadata")
        volumes = []
        for value in try reader.messages("volumeMounts") {
            volumes.append(try SandboxCreation.VolumeMount(json: value))
        }
        guard let lifecycle = reader.value("lifecycle") else { return }
        let choices = try MessageReader(lifecycle, "lifecycle")
        detail = Detail(
            allowsInternet: try reader.optionalBool("allowInternetAccess"),
            network: try reader.value("network").map { value throws(ConnectError) in
                try SandboxNetworkSettings(json: value)
            },
            resumesOnTraffic: try choices.bool("autoResume"),
            pausesOnTimeout: try choices.string("onTimeout") == "pause")
    }

    /// The message as JSON.
    public var json: JSONValue {
        var members = handle.json.object ?? [:]
        members["trafficAccessToken"] = nil
        members["startedAt"] = .string(startedAt.text)
        members["endAt"] = .string(endAt.text)
        members["cpuCount"] = .integer(Int64(processors))
        members["memoryMB"] = .integer(Int64(memoryMiB))
        members["diskSizeMB"] = .integer(Int64(diskMiB))
        members["state"] = .string(state.rawValue)
        if let pauseMode { members["pauseMode"] = .string(pauseMode.rawValue) }
        members["metadata"] = .object(metadata.mapValues { .string($0) })
        if !volumes.isEmpty { members["volumeMounts"] = .array(volumes.map(\.json)) }
        guard let detail else {
            members["envdAccessToken"] = nil
            members["domain"] = nil
            return .object(members)
        }
        members["allowInternetAccess"] = detail.allowsInternet.map { .bool($0) } ?? .null
        if let network = detail.network { members["network"] = network.json }
        members["lifecycle"] = [
            "autoResume": .bool(detail.resumesOnTraffic),
            "onTimeout": .string(detail.pausesOnTimeout ? "pause" : "kill"),
        ]
        return .object(members)
    }
}

extension MessageReader {
    /// An instant that has to be there.
    func time(_ field: String) throws(ConnectError) -> Timestamp {
        guard let time = Timestamp(text: try text(field)) else {
            throw ConnectError(.invalidArgument, "\(field) is not RFC 3339")
        }
        return time
    }
}
