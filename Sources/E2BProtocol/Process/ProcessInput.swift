import DeploymentCore

/// Bytes for a process (`process.ProcessInput`).
public enum ProcessInput: WireMessage, Equatable {
    /// For its standard input.
    case standardInput([UInt8])
    /// For its terminal.
    case terminal([UInt8])

    /// Reads the message.
    public init(json: JSONValue) throws(ConnectError) {
        let reader = try MessageReader(json, "input")
        if let bytes = try reader.optionalBytes("stdin") {
            self = .standardInput(bytes)
        } else if let bytes = try reader.optionalBytes("pty") {
            self = .terminal(bytes)
        } else {
            throw ConnectError(.invalidArgument, "the input has neither stdin nor pty")
        }
    }

    /// The message as JSON.
    public var json: JSONValue {
        switch self {
        case .standardInput(let bytes): ["stdin": .string(base64(bytes))]
        case .terminal(let bytes): ["pty": .string(base64(bytes))]
        }
    }
}

func base64(_ bytes: [UInt8]) -> String { String(decoding: Base64.encode(bytes), as: UTF8.self) }

/// Writes to a process (`process.SendInputRequest`).
public struct SendInputRequest: WireMessage, Equatable {
    /// Which process.
    public var process: ProcessSelector
    /// What to write.
    public var input: ProcessInput

    /// Creates a request.
    public init(process: ProcessSelector, input: ProcessInput) {
        self.process = process
        self.input = input
    }

    /// Reads the message.
    public init(json: JSONValue) throws(ConnectError) {
        let reader = try MessageReader(json, "request")
        process = try ProcessSelector(json: try reader.required("process"))
        input = try ProcessInput(json: try reader.required("input"))
    }

    /// The message as JSON.
    public var json: JSONValue { ["process": process.json, "input": input.json] }
}

/// One message of a stream of input (`process.StreamInputRequest`).
public enum StreamInputRequest: WireMessage, Equatable {
    /// Names the process; comes first.
    case start(ProcessSelector)
    /// Bytes for it.
    case data(ProcessInput)
    /// Nothing, to keep the connection alive.
    case keepalive

    /// Reads the message.
    public init(json: JSONValue) throws(ConnectError) {
        let reader = try MessageReader(json, "request")
        if let start = reader.value("start") {
            self = .start(try ProcessRequest(json: start).process)
        } else if let data = reader.value("data") {
            self = .data(try ProcessInput(json: try MessageReader(data, "data").required("input")))
        } else if reader.value("keepalive") != nil {
            self = .keepalive
        } else {
            throw ConnectError(.invalidArgument, "the message is none of start, data and keepalive")
        }
    }

    /// The message as JSON.
    public var json: JSONValue {
        switch self {
        case .start(let process): ["start": ["process": process.json]]
        case .data(let input): ["data": ["input": input.json]]
        case .keepalive: ["keepalive": [:]]
        }
    }
}

/// The signals that envd can send (`process.Signal`).
public enum ProcessSignal: Int, Sendable, CaseIterable, WireEnumeration {
    case unspecified = 0
    case kill = 9
    case terminate = 15

    /// The name on the wire.
    public var name: String {
        switch self {
        case .unspecified: "SIGNAL_UNSPECIFIED"
        case .kill: "SIGNAL_SIGKILL"
        case .terminate: "SIGNAL_SIGTERM"
        }
    }
}

/// Signals a process and its group (`process.SendSignalRequest`).
public struct SendSignalRequest: WireMessage, Equatable {
    /// Which process.
    public var process: ProcessSelector
    /// Which signal.
    public var signal: ProcessSignal

    /// Creates a request.
    public init(process: ProcessSelector, signal: ProcessSignal) {
        self.process = process
        self.signal = signal
    }

    /// Reads the message.
    public init(json: JSONValue) throws(ConnectError) {
        let reader = try MessageReader(json, "request")
        process = try ProcessSelector(json: try reader.required("process"))
        signal = try reader.enumeration("signal")
    }

    /// The message as JSON.
    public var json: JSONValue { ["process": process.json, "signal": .string(signal.name)] }
}

/// Resizes a process's terminal (`process.UpdateRequest`).
public struct UpdateRequest: WireMessage, Equatable {
    /// Which process.
    public var process: ProcessSelector
    /// The new size.
    public var terminal: PseudoTerminal?

    /// Creates a request.
    public init(process: ProcessSelector, terminal: PseudoTerminal?) {
        self.process = process
        self.terminal = terminal
    }

    /// Reads the message.
    public init(json: JSONValue) throws(ConnectError) {
        let reader = try MessageReader(json, "request")
        process = try ProcessSelector(json: try reader.required("process"))
        if let pty = reader.value("pty") { terminal = try PseudoTerminal(json: pty) }
    }

    /// The message as JSON.
    public var json: JSONValue {
        guard let terminal else { return ["process": process.json] }
        return ["process": process.json, "pty": terminal.json]
    }
}
