import DeploymentCore
import E2BProtocol

extension Agent {
    /// Finds who answers a request: gives the taker of its body, or nil when it has been answered already.
    func route(_ head: RequestHead, on connection: Connection) -> (any BodySink)? {
        guard isAllowed(head) else {
            connection.fail(status: 401, message: "the access token is wrong")
            return nil
        }
        guard head["content-encoding"].map({ $0.lowercased() == "identity" }) ?? true else {
            connection.fail(status: 406, message: "compressed bodies are not supported")
            return nil
        }
        switch (head.method, head.path) {
        case ("GET", "/health"): connection.respond(status: 204)
        case ("GET", "/files"): FileDownload.answer(head, agent: self, on: connection)
        case ("POST", "/files"): return FileUpload.begin(head, agent: self, on: connection)
        case ("GET", "/berth/listeners"): connection.respond(json: listeners())
        case ("POST", let path):
            if let method = RemoteMethod(rawValue: path) { return call(method, head, on: connection) }
            connection.fail(status: 404, message: "no such path: \(path)")
        case (_, "/health"), (_, "/files"), (_, "/berth/listeners"):
            connection.fail(status: 405, message: "\(head.path) does not know \(head.method)")
        default: connection.fail(status: 404, message: "no such path: \(head.path)")
        }
        return nil
    }

    /// Who may call; the folder of the socket decides so far, and a token would be compared here.
    private func isAllowed(_ head: RequestHead) -> Bool { true }

    private func call(_ method: RemoteMethod, _ head: RequestHead, on connection: Connection) -> (any BodySink)? {
        let mediaType = method.isStreaming ? "application/connect+json" : "application/json"
        guard head.mediaType == mediaType else {
            connection.fail(status: 415, message: "\(method.rawValue) takes \(mediaType)")
            return nil
        }
        if let failure = userFailure(head) {
            refuse(method, failure, on: connection)
            return nil
        }
        if method == .processStreamInput { return InputStream(processes: processes, connection: connection) }
        return CollectedBody { [self, unowned connection] body in
            do throws(ConnectError) {
                try answer(method, head, try Self.parse(body, isStream: method.isStreaming), on: connection)
            } catch {
                refuse(method, error, on: connection)
            }
        }
    }

    private func refuse(_ method: RemoteMethod, _ error: ConnectError, on connection: Connection) {
        guard method.isStreaming else { return connection.fail(error) }
        connection.beginStream()
        connection.endStream(error)
    }

    private static func parse(
        _ body: Result<[UInt8], ConnectError>, isStream: Bool
    ) throws(ConnectError) -> JSONValue {
        let bytes = try body.get()
        if isStream {
            var decoder = ConnectFrameDecoder()
            decoder.append(bytes)
            guard case .message(let message)? = try decoder.next() else {
                throw ConnectError(.invalidArgument, "the stream has no message")
            }
            return message
        }
        guard !bytes.isEmpty else { return [:] }
        do {
            return try JSONValue(parsing: bytes)
        } catch {
            throw ConnectError(.invalidArgument, "the body is not JSON: \(error)")
        }
    }

    /// Basic authentication names the user to act as; there is only one.
    private func userFailure(_ head: RequestHead) -> ConnectError? {
        guard let authorization = head["authorization"] else { return nil }
        let parts = authorization.split(separator: " ", maxSplits: 1)
        guard parts.count == 2, parts[0].lowercased() == "basic", let pair = Base64.decode(parts[1].utf8) else {
            return ConnectError(.unauthenticated, "the authorization header is malformed")
        }
        let name = String(decoding: pair.prefix { $0 != UInt8(ascii: ":") }, as: UTF8.self)
        return name.isEmpty || name == options.user
            ? nil : ConnectError(.unauthenticated, "user '\(name)' does not exist here")
    }

    private func answer(
        _ method: RemoteMethod, _ head: RequestHead, _ json: JSONValue, on connection: Connection
    ) throws(ConnectError) {
        switch method {
        case .processStart:
            try processes.start(try StartRequest(json: json), CallOptions(head), on: connection)
        case .processConnect:
            try processes.connect(try ConnectRequest(json: json).process, CallOptions(head), on: connection)
        case .processList: connection.respond(json: processes.list().json)
        case .processSendInput:
            let request = try SendInputRequest(json: json)
            try processes.find(request.process).write(request.input)
            connection.respond(json: [:])
        case .processSendSignal:
            try processes.signal(try SendSignalRequest(json: json))
            connection.respond(json: [:])
        case .processCloseStdin:
            try processes.find(try CloseStdinRequest(json: json).process).closeStandardInput()
            connection.respond(json: [:])
        case .processUpdate:
            _ = try processes.find(try UpdateRequest(json: json).process)
            throw ConnectError(.unimplemented, "the process has no terminal to resize")
        case .processStreamInput: throw ConnectError(.internal, "a stream of input has no body to wait for")
        case .filesystemStat, .filesystemMakeDir, .filesystemMove, .filesystemListDir, .filesystemRemove:
            connection.respond(json: try FilesystemService(options: options).answer(method, json))
        case .filesystemWatchDir, .filesystemCreateWatcher, .filesystemGetWatcherEvents, .filesystemRemoveWatcher:
            throw ConnectError(.unimplemented, "watching folders is not supported")
        }
    }
}

/// What the headers of a call say about how to carry it out.
struct CallOptions {
    /// The deadline of the call, in milliseconds from now.
    var timeout: Int64?
    /// Silence after which a keepalive is sent, in milliseconds.
    var keepalive: Int64
    /// Whether output that nobody has received is kept, or wanted.
    var replays: Bool

    private static let defaultKeepalive: Int64 = 90
    private static let keepaliveRange: ClosedRange<Int64> = 1...3600

    init(_ head: RequestHead) throws(ConnectError) {
        if let text = head["connect-timeout-ms"] {
            guard let limit = Int64(text), limit >= 0 else {
                throw ConnectError(.invalidArgument, "the header Connect-Timeout-Ms is not a number")
            }
            timeout = limit
        }
        let interval = head["keepalive-ping-interval"].flatMap { Int64($0) } ?? Self.defaultKeepalive
        keepalive = min(max(interval, Self.keepaliveRange.lowerBound), Self.keepaliveRange.upperBound) * 1000
        replays = head["berth-replay"] == "1"
    }
}
