import DeploymentCore

/// What a process did (`process.ProcessEvent`, inside `StartResponse` and `ConnectResponse`).
public enum ProcessEvent: Sendable, Equatable {
    /// It runs, under this process id. Always the first event.
    case start(pid: Int)
    /// It wrote to its standard output.
    case standardOutput([UInt8])
    /// It wrote to its standard error.
    case standardError([UInt8])
    /// It wrote to its terminal.
    case terminal([UInt8])
    /// It ended. Always the last event.
    case end(ProcessEnd)
    /// Nothing happened for the keepalive interval.
    case keepalive
}

/// How a process ended (`process.ProcessEvent.EndEvent`).
public struct ProcessEnd: WireMessage, Equatable {
    /// The exit code; -1 when a signal ended it.
    public var exitCode: Int
    /// Whether it ended by itself.
    public var exited: Bool
    /// `exit status N` or `signal: NAME`.
    public var status: String
    /// The same text when the end was a failure.
    public var error: String?

    /// Creates an end.
    public init(exitCode: Int, exited: Bool, status: String, error: String?) {
        self.exitCode = exitCode
        self.exited = exited
        self.status = status
        self.error = error
    }

    /// An end by itself with `code`.
    public static func exit(_ code: Int) -> ProcessEnd {
        let status = "exit status \(code)"
        return ProcessEnd(exitCode: code, exited: true, status: status, error: code == 0 ? nil : status)
    }

    /// An end by the signal called `name` (`killed`, `terminated`, …).
    public static func signal(_ name: String) -> ProcessEnd {
        let status = "signal: \(name)"
        return ProcessEnd(exitCode: -1, exited: false, status: status, error: status)
    }

    /// Reads the message.
    public init(json: JSONValue) throws(ConnectError) {
        let reader = try MessageReader(json, "end")
        exitCode = Int(try reader.optionalInteger("exitCode", in: Int64(Int32.min)...Int64(Int32.max)) ?? 0)
        exited = try reader.bool("exited")
        status = try reader.string("status")
        error = try reader.optionalString("error")
    }

    /// The message as JSON.
    public var json: JSONValue {
        var members: [String: JSONValue] = ["status": .string(status)]
        if exitCode != 0 { members["exitCode"] = .integer(Int64(exitCode)) }
        if exited { members["exited"] = true }
        if let error { members["error"] = .string(error) }
        return .object(members)
    }
}

extension ProcessEvent: WireMessage {
    /// Reads `StartResponse` or `ConnectResponse`, the messages around the event.
    public init(json: JSONValue) throws(ConnectError) {
        let event = try MessageReader(try MessageReader(json, "response").required("event"), "event")
        if let start = event.value("start") {
            self = .start(pid: try MessageReader(start, "start").unsigned("pid"))
        } else if let data = event.value("data") {
            self = try Self.data(MessageReader(data, "data"))
        } else if let end = event.value("end") {
            self = .end(try ProcessEnd(json: end))
        } else if event.value("keepalive") != nil {
            self = .keepalive
        } else {
            throw ConnectError(.invalidArgument, "the event is none of start, data, end and keepalive")
        }
    }

    private static func data(_ data: MessageReader) throws(ConnectError) -> ProcessEvent {
        if let bytes = try data.optionalBytes("stdout") { return .standardOutput(bytes) }
        if let bytes = try data.optionalBytes("stderr") { return .standardError(bytes) }
        if let bytes = try data.optionalBytes("pty") { return .terminal(bytes) }
        throw ConnectError(.invalidArgument, "the data is none of stdout, stderr and pty")
    }

    /// The response as JSON.
    public var json: JSONValue {
        switch self {
        case .start(let pid): ["event": ["start": ["pid": .integer(Int64(pid))]]]
        case .standardOutput(let bytes): ["event": ["data": ["stdout": .string(base64(bytes))]]]
        case .standardError(let bytes): ["event": ["data": ["stderr": .string(base64(bytes))]]]
        case .terminal(let bytes): ["event": ["data": ["pty": .string(base64(bytes))]]]
        case .end(let end): ["event": ["end": end.json]]
        case .keepalive: ["event": ["keepalive": [:]]]
        }
    }

    /// The response in its envelope, without the detour over `JSONValue` for output, which is what there is much of.
    public func frame() -> [UInt8] {
        switch self {
        case .standardOutput(let bytes): Self.dataFrame("stdout", bytes)
        case .standardError(let bytes): Self.dataFrame("stderr", bytes)
        case .terminal(let bytes): Self.dataFrame("pty", bytes)
        case .start, .end, .keepalive: ConnectFrame.message(json).encoded()
        }
    }

    private static func dataFrame(_ kind: String, _ bytes: [UInt8]) -> [UInt8] {
        let head = Array("{\"event\":{\"data\":{\"\(kind)\":\"".utf8)
        let tail = Array("\"}}}".utf8)
        let length = head.count + (bytes.count + 2) / 3 * 4 + tail.count
        var frame: [UInt8] = []
        frame.reserveCapacity(ConnectFrame.headerLength + length)
        frame.append(0)
        ConnectFrame.appendLength(length, to: &frame)
        frame += head
        Base64.append(bytes, to: &frame)
        frame += tail
        return frame
    }
}
