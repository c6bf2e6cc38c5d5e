import DeploymentCore
import E2BProtocol
import Glibc

extension Agent {
    /// Finds who answers a request: gives the taker of its body, or nil when it has been answered already.
    func route(_ head: RequestHead, on connection: Connection) -> (any BodySink)? {
        if connection.isFromInside, head.method != "GET" || !Self.pathsInside.contains(head.path) {
            connection.fail(status: 403, message: "\(head.path) is not for those inside")
            return nil
        }
        if let refusal = access.refusal(head) {
            connection.fail(status: 401, message: refusal)
            return nil
        }
        let coding = head["content-encoding"]?.lowercased() ?? "identity"
        guard coding == "identity" || coding == "gzip" && !(RemoteMethod(rawValue: head.path)?.isStreaming ?? false)
        else {
            connection.fail(status: 406, message: "bodies are taken as they are or as gzip")
            return nil
        }
        guard let sink = sink(head, on: connection) else { return nil }
        guard coding == "gzip" else { return sink }
        do throws(Gzip.Malformed) {
            return try InflatingBody(sink, connection: connection)
        } catch {
            sink.abandon()
            connection.fail(status: 500, message: error.message)
            return nil
        }
    }

    private func sink(_ head: RequestHead, on connection: Connection) -> (any BodySink)? {
        switch (head.method, head.path) {
        case ("GET", "/health"): connection.respond(status: 204)
        case ("GET", "/metrics"): connection.respond(json: measure().json)
        case ("GET", "/envs"):
            connection.respond(json: .object(options.sharedEnvironment.mapValues { .string($0) }))
        case ("POST", "/init"): return initialise(head, on: connection)
        case ("GET", "/files"), ("POST", "/files"):
            let options: AgentOptions
            do {
                let user = head.query["username"] ?? ""
                options = try user.isEmpty ? self.options(for: head) : self.options(actingAs: user)
            } catch {
                connection.fail(status: 401, message: error.message)
                return nil
            }
            if head.method == "POST" {
                let upload = options.act { FileUpload.begin(head, options: options, on: connection) }
                return upload.map { ActingBody($0, options: options) }
            }
            options.act { FileDownload.answer(head, options: options, on: connection) }
        case ("POST", "/files/compose"): return FileComposition.begin(agent: self, on: connection)
        case ("GET", "/berth/listeners"): connection.respond(json: listeners())
        case ("POST", let path):
            if let method = RemoteMethod(rawValue: path) { return call(method, head, on: connection) }
            fallthrough
        default:
            guard Self.paths.contains(head.path) else {
                connection.fail(status: 404, message: "no such path: \(head.path)")
                return nil
            }
            connection.fail(status: 405, message: "\(head.path) does not know \(head.method)")
        }
        return nil
    }

    /// What processes in here may ask: nothing that acts for somebody, least of all for root.
    private static let pathsInside: Set<String> = ["/health", "/metrics", "/envs"]

    private static let paths: Set<String> = [
        "/health", "/metrics", "/envs", "/init", "/files", "/files/compose", "/berth/listeners",
    ]

    /// In the host's own namespaces only what was started here counts.
    private func measure() -> AgentMetrics {
        guard options.allowsHostPaths else { return metrics.measure(folder: options.home) { _ in true } }
        let all = Dictionary(SystemProcess.all().map { ($0.pid, $0) }) { first, _ in first }
        return metrics.measure(folder: options.home) { process in
            process.pid == getpid() || processes.owner(of: process, among: all) != nil
        }
    }

    /// The options for whoever a request acts as.
    ///
    /// - Throws: `unauthenticated` when there is nobody of that name.
    func options(actingAs name: String) throws(ConnectError) -> AgentOptions {
        guard let options = options.acting(as: name) else {
            throw ConnectError(.unauthenticated, options.absence(of: name))
        }
        return options
    }

    static func parse(unary bytes: [UInt8]) throws(ConnectError) -> JSONValue {
        do {
            return try JSONValue(parsing: bytes)
        } catch {
            throw ConnectError(.invalidArgument, "the body is not JSON: \(error)")
        }
    }

    private func call(_ method: RemoteMethod, _ head: RequestHead, on connection: Connection) -> (any BodySink)? {
        let mediaType = method.isStreaming ? "application/connect+json" : "application/json"
        guard head.mediaType == mediaType else {
            connection.fail(status: 415, message: "\(method.rawValue) takes \(mediaType)")
            return nil
        }
        let options: AgentOptions
        do {
            options = try self.options(for: head)
        } catch {
            refuse(method, error, on: connection)
            return nil
        }
        if method == .processStreamInput { return InputStream(processes: processes, connection: connection) }
        return CollectedBody { [self, unowned connection] body in
            do throws(ConnectError) {
                let json = try Self.parse(body, isStream: method.isStreaming)
                try options.act { () throws(ConnectError) in
                    try answer(method, head, json, as: options, on: connection)
                }
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
        return bytes.isEmpty ? [:] : try parse(unary: bytes)
    }

    /// Basic authentication names the user to act as.
    private func options(for head: RequestHead) throws(ConnectError) -> AgentOptions {
        guard let authorization = head["authorization"] else { return options }
        let parts = authorization.split(separator: " ", maxSplits: 1)
        guard parts.count == 2, parts[0].lowercased() == "basic", let pair = Base64.decode(parts[1].utf8) else {
            throw ConnectError(.unauthenticated, "the authorization header is malformed")
        }
        return try options(actingAs: String(decoding: pair.prefix { $0 != UInt8(ascii: ":") }, as: UTF8.self))
    }

    private func answer(
        _ method: RemoteMethod, _ head: RequestHead, _ json: JSONValue, as options: AgentOptions,
        on connection: Connection
    ) throws(ConnectError) {
        switch method {
        case .processStart:
            try processes.start(try StartRequest(json: json), CallOptions(head), as: options, on: connection)
        case .processConnect:
            try processes.connect(try ConnectRequest(json: json).process, CallOptions(head), on: connection)
        case .processList: connection.respond(json: processes.list().json)
        case .processSendInput:
            try sendInput(try SendInputRequest(json: json), on: connection)
        case .processSendSignal:
            try processes.signal(try SendSignalRequest(json: json))
            connection.respond(json: [:])
        case .processCloseStdin:
            try processes.find(try CloseStdinRequest(json: json).process).closeStandardInput()
            connection.respond(json: [:])
        case .processUpdate:
            let request = try UpdateRequest(json: json)
            let process = try processes.find(request.process)
            if let terminal = request.terminal { try process.resize(terminal) }
            connection.respond(json: [:])
        case .processStreamInput: throw ConnectError(.internal, "a stream of input has no body to wait for")
        case .filesystemStat, .filesystemMakeDir, .filesystemMove, .filesystemListDir, .filesystemRemove:
            connection.respond(json: try FilesystemService(options: options).answer(method, json))
        case .filesystemWatchDir:
            try watches.stream(try WatchRequest(json: json), try CallOptions(head), as: options, on: connection)
        case .filesystemCreateWatcher:
            connection.respond(json: try watches.create(try WatchRequest(json: json), as: options).json)
        case .filesystemGetWatcherEvents:
            connection.respond(json: try watches.takeEvents(try WatcherReference(json: json)).json)
        case .filesystemRemoveWatcher:
            try watches.remove(try WatcherReference(json: json))
            connection.respond(json: [:])
        }
    }
}

extension Agent {
    /// Answers once the process has taken most of what waits, so that a writer is no faster than its reader.
    private func sendInput(_ request: SendInputRequest, on connection: Connection) throws(ConnectError) {
        let process = try processes.find(request.process)
        try process.write(request.input)
        guard let input = try? process.openInput(), input.isFull else { return connection.respond(json: [:]) }
        input.whenRoom { [weak connection] in connection?.respond(json: [:]) }
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
