import DeploymentCore

/// A process that runs (`process.ProcessInfo`).
public struct ProcessInfo: WireMessage, Equatable {
    /// What was started.
    public var config: ProcessConfig
    /// Its process id inside the sandbox.
    public var pid: Int
    /// The tag it was started with.
    public var tag: String?

    /// Creates an entry.
    public init(config: ProcessConfig, pid: Int, tag: String?) {
        self.config = config
        self.pid = pid
        self.tag = tag
    }

    /// Reads the message.
    public init(json: JSONValue) throws(ConnectError) {
        let reader = try MessageReader(json, "process")
        config = try ProcessConfig(json: try reader.required("config"))
        pid = try reader.unsigned("pid")
        tag = try reader.optionalString("tag")
    }

    /// The message as JSON.
    public var json: JSONValue {
        var members: [String: JSONValue] = ["config": config.json, "pid": .integer(Int64(pid))]
        if let tag { members["tag"] = .string(tag) }
        return .object(members)
    }
}

/// The processes that run (`process.ListResponse`).
public struct ProcessListResponse: WireMessage, Equatable {
    /// The processes, by process id.
    public var processes: [ProcessInfo]

    /// Creates a response.
    public init(processes: [ProcessInfo]) { self.processes = processes }

    /// Reads the message.
    public init(json: JSONValue) throws(ConnectError) {
        processes = []
        for process in try MessageReader(json, "response").messages("processes") {
            processes.append(try ProcessInfo(json: process))
        }
    }

    /// The message as JSON.
    public var json: JSONValue { ["processes": .array(processes.map(\.json))] }
}
