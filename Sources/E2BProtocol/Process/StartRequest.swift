import DeploymentCore

/// Starts a process (`process.StartRequest`).
public struct StartRequest: WireMessage, Equatable {
    /// What to run.
    public var process: ProcessConfig
    /// The terminal to run it on; nil for pipes.
    public var terminal: PseudoTerminal?
    /// A name to select it by.
    public var tag: String?
    /// Whether its standard input is open for `SendInput`; envd's default is true.
    public var standardInput: Bool

    /// Creates a request.
    public init(
        process: ProcessConfig, terminal: PseudoTerminal? = nil, tag: String? = nil, standardInput: Bool = true
    ) {
        self.process = process
        self.terminal = terminal
        self.tag = tag
        self.standardInput = standardInput
    }

    /// Reads the message.
    public init(json: JSONValue) throws(ConnectError) {
        let reader = try MessageReader(json, "request")
        process = try ProcessConfig(json: try reader.required("process"))
        if let pty = reader.value("pty") { terminal = try PseudoTerminal(json: pty) }
        tag = try reader.optionalString("tag")
        standardInput = try reader.optionalBool("stdin") ?? true
    }

    /// The message as JSON.
    public var json: JSONValue {
        var members: [String: JSONValue] = ["process": process.json, "stdin": .bool(standardInput)]
        if let terminal { members["pty"] = terminal.json }
        if let tag { members["tag"] = .string(tag) }
        return .object(members)
    }
}

/// Which process is meant (`process.ProcessSelector`).
public enum ProcessSelector: WireMessage, Equatable {
    /// By its process id inside the sandbox.
    case pid(Int)
    /// By the tag it was started with.
    case tag(String)

    /// Reads the message.
    public init(json: JSONValue) throws(ConnectError) {
        let reader = try MessageReader(json, "process")
        if let tag = try reader.optionalString("tag") {
            self = .tag(tag)
        } else if reader.value("pid") != nil {
            self = .pid(try reader.unsigned("pid"))
        } else {
            throw ConnectError(.invalidArgument, "the process selector names neither pid nor tag")
        }
    }

    /// The message as JSON.
    public var json: JSONValue {
        switch self {
        case .pid(let pid): ["pid": .integer(Int64(pid))]
        case .tag(let tag): ["tag": .string(tag)]
        }
    }
}

/// Names a process and nothing else (`process.ConnectRequest`, `CloseStdinRequest`).
public struct ProcessRequest: WireMessage, Equatable {
    /// Which process.
    public var process: ProcessSelector

    /// Creates a request.
    public init(process: ProcessSelector) { self.process = process }

    /// Reads the message.
    public init(json: JSONValue) throws(ConnectError) {
        process = try ProcessSelector(json: try MessageReader(json, "request").required("process"))
    }

    /// The message as JSON.
    public var json: JSONValue { ["process": process.json] }
}

/// Subscribes to a process that runs (`process.ConnectRequest`).
public typealias ConnectRequest = ProcessRequest
/// Ends a process's standard input (`process.CloseStdinRequest`).
public typealias CloseStdinRequest = ProcessRequest
