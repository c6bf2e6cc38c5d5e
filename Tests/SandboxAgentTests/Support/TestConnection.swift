import CPlatform
import DeploymentCore
import Foundation
import Glibc

/// A blocking client that shares no code with the agent beyond JSON values.
final class TestConnection {
    let descriptor: Int32
    private var buffer = Data()
    private var frames = Data()
    /// The longest wait for bytes, in seconds.
    private static let receiveLimit = 30

    init(descriptor: Int32) {
        self.descriptor = descriptor
        var limit = timeval(tv_sec: Self.receiveLimit, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit { close(descriptor) }

    struct Response {
        var status: Int
        var headers: [String: String]
        var body: Data
        var json: JSONValue { (try? JSONValue(parsing: body)) ?? .null }
    }

    func send(_ bytes: some Collection<UInt8>) throws {
        var rest = Data(bytes)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw RunningAgent.Failure("cannot send: errno \(errno)") }
            rest = rest.dropFirst(count)
        }
    }

    /// More bytes; empty at the end.
    func receive() throws -> Data {
        var part = Data(count: 256 << 10)
        let count = part.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress, $0.count, 0) }
        guard count >= 0 else { throw RunningAgent.Failure("cannot receive: errno \(errno)") }
        return part.prefix(count)
    }

    func take(_ count: Int) throws -> Data {
        while buffer.count < count { try more() }
        defer { buffer = Data(buffer.dropFirst(count)) }
        return Data(buffer.prefix(count))
    }

    private func more() throws {
        let part = try receive()
        guard !part.isEmpty else { throw RunningAgent.Failure("the connection has ended") }
        buffer += part
    }

    private func takeLine(_ end: String) throws -> String {
        while true {
            if let range = buffer.range(of: Data(end.utf8)) {
                defer { buffer = Data(buffer[range.upperBound...]) }
                return String(decoding: buffer[..<range.lowerBound], as: UTF8.self)
            }
            try more()
        }
    }

    func readHead() throws -> Response {
        let lines = try takeLine("\r\n\r\n").components(separatedBy: "\r\n")
        var headers: [String: String] = [:]
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            headers[parts[0].lowercased()] = parts[1].trimmingCharacters(in: .whitespaces)
        }
        return Response(status: Int(lines[0].split(separator: " ")[1]) ?? 0, headers: headers, body: Data())
    }

    func sendRequest(_ method: String, _ path: String, _ headers: [String: String] = [:], body: Data = Data()) throws {
        var text = "\(method) \(path) HTTP/1.1\r\nHost: sandbox\r\nContent-Length: \(body.count)\r\n"
        for (name, value) in headers { text += "\(name): \(value)\r\n" }
        try send(Data((text + "\r\n").utf8) + body)
    }

    func readResponse() throws -> Response {
        var response = try readHead()
        response.body = try take(Int(response.headers["content-length"] ?? "0") ?? 0)
        return response
    }

    /// An answer whose body may be chunked.
    func readBody() throws -> Response {
        var response = try readHead()
        guard response.headers["transfer-encoding"] == "chunked" else {
            response.body = try take(Int(response.headers["content-length"] ?? "0") ?? 0)
            return response
        }
        while true {
            let size = Int(try takeLine("\r\n"), radix: 16) ?? 0
            response.body += try take(size)
            _ = try take(2)
            if size == 0 { return response }
        }
    }

    @discardableResult
    func request(
        _ method: String, _ path: String, _ headers: [String: String] = [:], body: Data = Data()
    ) throws
        -> Response
    {
        try sendRequest(method, path, headers, body: body)
        return try readResponse()
    }

    /// A unary call.
    @discardableResult
    func call(_ method: String, _ message: JSONValue) throws -> Response {
        try request("POST", "/\(method)", ["Content-Type": "application/json"], body: Data(message.encoded()))
    }

    static func frame(_ message: JSONValue) -> Data {
        let payload = message.encoded()
        let length = [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: payload.count >> $0) }
        return Data([0] + length + payload)
    }

    /// Begins a streaming call; the answer's head has to be 200.
    func open(_ method: String, _ message: JSONValue, _ headers: [String: String] = [:]) throws {
        let all = headers.merging(["Content-Type": "application/connect+json"]) { $1 }
        try sendRequest("POST", "/\(method)", all, body: Self.frame(message))
        let head = try readHead()
        guard head.status == 200, head.headers["content-type"] == "application/connect+json" else {
            throw RunningAgent.Failure("the stream was refused with \(head.status)")
        }
    }

    /// The next frame: its flags and payload; nil when the body has ended.
    func nextFrame() throws -> (flags: UInt8, payload: Data)? {
        while true {
            if frames.count >= 5 {
                let length = frames.prefix(5).dropFirst().reduce(0) { $0 << 8 | Int($1) }
                if frames.count >= 5 + length {
                    let frame = Data(frames.prefix(5 + length))
                    frames = Data(frames.dropFirst(5 + length))
                    return (frame[0], frame.dropFirst(5))
                }
            }
            let size = Int(try takeLine("\r\n"), radix: 16) ?? -1
            let chunk = try take(size)
            _ = try take(2)
            if size == 0 { return nil }
            frames += chunk
        }
    }
}

/// An event as a stranger's client sees it.
enum SeenEvent: Equatable {
    case start(pid: Int)
    case stdout(Data)
    case stderr(Data)
    case terminal(Data)
    case end(code: Int, exited: Bool, status: String, error: String?)
    case keepalive
    /// The end of the stream, with the error's code.
    case over(String?)
}

extension TestConnection {
    /// The next event of a process stream.
    func nextEvent() throws -> SeenEvent {
        guard let (flags, payload) = try nextFrame(),
            let object = try JSONSerialization.jsonObject(with: payload) as? [String: Any]
        else { throw RunningAgent.Failure("the stream ends without its last frame") }
        if flags == 2 {
            let error = object["error"] as? [String: Any]
            guard try nextFrame() == nil else { throw RunningAgent.Failure("a frame follows the last") }
            return .over(error?["code"] as? String)
        }
        guard let event = object["event"] as? [String: Any] else { throw RunningAgent.Failure("not an event") }
        if let start = event["start"] as? [String: Any], let pid = start["pid"] as? Int { return .start(pid: pid) }
        if let data = event["data"] as? [String: String] {
            if let bytes = data["stdout"].flatMap({ Data(base64Encoded: $0) }) { return .stdout(bytes) }
            if let bytes = data["pty"].flatMap({ Data(base64Encoded: $0) }) { return .terminal(bytes) }
            if let bytes = data["stderr"].flatMap({ Data(base64Encoded: $0) }) { return .stderr(bytes) }
        }
        if let end = event["end"] as? [String: Any] {
            return .end(
                code: end["exitCode"] as? Int ?? 0, exited: end["exited"] as? Bool ?? false,
                status: end["status"] as? String ?? "", error: end["error"] as? String)
        }
        if event["keepalive"] != nil { return .keepalive }
        throw RunningAgent.Failure("an unknown event: \(event.keys)")
    }

    /// Starts `script` with a shell and gives its process id.
    @discardableResult
    func start(
        _ script: String, tag: String? = nil, stdin: Bool? = nil, environment: [String: String] = [:],
        _ headers: [String: String] = [:]
    ) throws -> Int {
        var message: [String: JSONValue] = [
            "process": [
                "cmd": "/bin/sh", "args": ["-c", .string(script)],
                "envs": .object(environment.mapValues { .string($0) }),
            ]
        ]
        if let tag { message["tag"] = .string(tag) }
        if let stdin { message["stdin"] = .bool(stdin) }
        try open("process.Process/Start", .object(message), headers)
        guard case .start(let pid) = try nextEvent() else { throw RunningAgent.Failure("the first event is no start") }
        return pid
    }

    /// The next message of a stream as it is.
    func nextMessage() throws -> JSONValue {
        guard let (flags, payload) = try nextFrame(), flags == 0 else { throw RunningAgent.Failure("no message came") }
        return try JSONValue(parsing: payload)
    }

    /// Runs a command on a terminal of 80 by 24 and gives its process id.
    @discardableResult
    func startTerminal(
        _ command: [String], tag: String? = nil, environment: [String: String] = [:], _ headers: [String: String] = [:]
    ) throws -> Int {
        var message: [String: JSONValue] = [
            "process": [
                "cmd": .string(command[0]), "args": .array(command.dropFirst().map { .string($0) }),
                "envs": .object(environment.mapValues { .string($0) }),
            ],
            "pty": ["size": ["cols": 80, "rows": 24]],
        ]
        if let tag { message["tag"] = .string(tag) }
        try open("process.Process/Start", .object(message), headers)
        guard case .start(let pid) = try nextEvent() else { throw RunningAgent.Failure("the first event is no start") }
        return pid
    }

    /// Types into the terminal of a process.
    func type(_ text: String, to pid: Int) throws {
        let bytes = Data(text.utf8).base64EncodedString()
        let input: JSONValue = ["process": ["pid": .integer(Int64(pid))], "input": ["pty": .string(bytes)]]
        let response = try call("process.Process/SendInput", input)
        guard response.status == 200 else { throw RunningAgent.Failure("input was refused: \(response.json)") }
    }

    /// Everything up to the end of the stream: the outputs joined, and the other events.
    func rest() throws -> (stdout: Data, stderr: Data, events: [SeenEvent]) {
        var outputs = (stdout: Data(), stderr: Data(), events: [SeenEvent]())
        while true {
            let event = try nextEvent()
            switch event {
            case .stdout(let bytes), .terminal(let bytes): outputs.stdout += bytes
            case .stderr(let bytes): outputs.stderr += bytes
            case .over:
                outputs.events.append(event)
                return outputs
            default: outputs.events.append(event)
            }
        }
    }

    /// Reads standard output, or the terminal, until it has brought `text`; gives what came.
    @discardableResult
    func await(_ text: String) throws -> String {
        var seen = Data()
        while seen.range(of: Data(text.utf8)) == nil {
            switch try nextEvent() {
            case .stdout(let bytes), .terminal(let bytes): seen += bytes
            default: throw RunningAgent.Failure("no '\(text)' came, but '\(String(decoding: seen, as: UTF8.self))'")
            }
        }
        return String(decoding: seen, as: UTF8.self)
    }
}
