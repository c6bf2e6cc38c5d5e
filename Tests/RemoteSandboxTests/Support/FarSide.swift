import BerthTestSupport
import DeploymentCore
import E2BProtocol
import Foundation

/// A scripted E2B service: it counts its sandboxes, remembers what it was asked, and can be told to go wrong.
final class FarSide: Sendable {
    /// The calls that can go wrong, by what they do.
    enum Call: String, Sendable, CaseIterable {
        case create, connect, get, list, kill, timeout, pause, network
    }

    /// How a call goes wrong.
    enum Fault: String, Sendable, CaseIterable {
        /// The connection breaks before anything happens.
        case failsBefore
        /// It happens, and the connection breaks before the answer.
        case losesReply
        /// Nothing happens, and nobody answers.
        case hangs
    }

    struct Sandbox: Sendable {
        var metadata: [String: String]
        var isPaused = false
        var timeout: Int64
        var files: [String: [UInt8]] = [:]
    }

    /// A request and what was being done when it came.
    struct Recorded: Sendable {
        var mark: String
        var request: ScriptedRequest
        var body: [UInt8]
    }

    private struct State {
        var sandboxes: [String: Sandbox] = [:]
        var created = 0
        var recorded: [Recorded] = []
        var mark = ""
        var faults: [Call: (fault: Fault, times: Int)] = [:]
        var answers: [ScriptedAnswer] = []
        var pageSize = 100
        var network: [String: JSONValue] = [:]
        var port: (@Sendable (ScriptedRequest, ScriptedConnection) -> Void)?
    }

    static let key = "e2b_0123456789abcdef0123456789abcdef01234567"
    private let state = Locked(State())
    private let server = Locked<ScriptedHTTPServer?>(nil)
    /// Told whenever a call hangs.
    let hanging = Locked<[@Sendable () -> Void]>([])

    init() throws {
        let made = try ScriptedHTTPServer(script: { [self] connection in
            while let request = connection.readRequest() {
                let body =
                    request.headers["transfer-encoding"] == "chunked" ? connection.readChunks() ?? [] : request.body
                guard serve(request, body, connection) else { return }
            }
        })
        server.withLock { $0 = made }
    }

    var url: String { server.withLock { $0?.url ?? "" } }
    func close() { server.withLock { $0 }?.close() }

    var live: [String] { state.withLock { $0.sandboxes.keys.sorted() } }
    var created: Int { state.withLock(\.created) }
    func sandbox(_ id: String) -> Sandbox? { state.withLock { $0.sandboxes[id] } }
    func remove(_ id: String) { state.withLock { _ = $0.sandboxes.removeValue(forKey: id) } }
    func add(_ id: String, _ sandbox: Sandbox) { state.withLock { $0.sandboxes[id] = sandbox } }
    func network(of id: String) -> JSONValue? { state.withLock { $0.network[id] } }
    /// What the next calls of the control plane are answered instead, in this order.
    func answer(_ answers: [ScriptedAnswer]) { state.withLock { $0.answers = answers } }
    func set(_ call: Call, _ fault: Fault, times: Int = .max) { state.withLock { $0.faults[call] = (fault, times) } }
    func heal() { state.withLock { $0.faults = [:] } }
    func set(pageSize: Int) { state.withLock { $0.pageSize = pageSize } }
    /// Who answers on the ports of sandboxes; nobody listens while it is nil.
    func set(port: (@Sendable (ScriptedRequest, ScriptedConnection) -> Void)?) { state.withLock { $0.port = port } }

    var listener: (@Sendable (ScriptedRequest, ScriptedConnection) -> Void)? { state.withLock(\.port) }

    func mark(_ text: String) { state.withLock { $0.mark = text } }
    var recorded: [Recorded] { state.withLock(\.recorded) }
    func calls(_ method: String, _ path: String) -> [Recorded] {
        recorded.filter { $0.request.method == method && $0.request.path.hasPrefix(path) }
    }

    // MARK: serving

    /// False when the connection is over.
    private func serve(_ request: ScriptedRequest, _ body: [UInt8], _ connection: ScriptedConnection) -> Bool {
        if request.path.hasPrefix("/mark/") {
            mark(String(request.path.dropFirst("/mark/".count)))
            return connection.send(ScriptedAnswer(204))
        }
        state.withLock { $0.recorded.append(Recorded(mark: $0.mark, request: request, body: body)) }
        if let id = request.headers["e2b-sandbox-id"] { return serveSandbox(id, request, body, connection) }
        if let answer = state.withLock({ $0.answers.isEmpty ? nil : $0.answers.removeFirst() }) {
            return last(answer, connection)
        }
        guard let call = Self.call(request) else { return last(other(request, body), connection) }
        let fault = state.withLock { state -> Fault? in
            guard let fault = state.faults[call], fault.times > 0 else { return nil }
            state.faults[call]?.times -= 1
            return fault.fault
        }
        switch fault {
        case .failsBefore?: return false
        case .hangs?:
            for tell in hanging.withLock({ $0 }) { tell() }
            connection.awaitClose()
            return false
        case .losesReply?:
            _ = answer(call, request, body)
            return false
        case nil: return last(answer(call, request, body), connection)
        }
    }

    /// Answers and ends the connection: on a kept one libcurl would repeat by itself what breaks.
    func last(_ answer: ScriptedAnswer, _ connection: ScriptedConnection) -> Bool {
        var answer = answer
        answer.headers.append(("Connection", "close"))
        connection.send(answer)
        return false
    }

    private static func call(_ request: ScriptedRequest) -> Call? {
        let path = request.path.prefix { $0 != "?" }
        switch request.method {
        case "POST" where path == "/v2/sandboxes": return .create
        case "GET" where path == "/v2/sandboxes": return .list
        case "POST" where path.hasSuffix("/connect"): return .connect
        case "POST" where path.hasSuffix("/timeout"): return .timeout
        case "POST" where path.hasSuffix("/pause"): return .pause
        case "PUT" where path.hasSuffix("/network"): return .network
        case "DELETE" where path.hasPrefix("/sandboxes/"): return .kill
        case "GET" where path.hasPrefix("/sandboxes/") && path.split(separator: "/").count == 2: return .get
        default: return nil
        }
    }

    /// What the SDK asks for beside the calls that can go wrong.
    private func other(_ request: ScriptedRequest, _ body: [UInt8]) -> ScriptedAnswer {
        let path = request.path.prefix { $0 != "?" }
        switch (request.method, path) {
        case ("GET", _) where path.hasSuffix("/metrics"): return Self.json(200, [])
        case ("POST", _) where path.hasSuffix("/snapshots"):
            return Self.json(201, ["snapshotID": "team/snap1:default", "names": ["team/snap1"]])
        case ("GET", "/snapshots"): return Self.json(200, [])
        case ("DELETE", _) where path.hasPrefix("/templates/"): return ScriptedAnswer(204)
        default: return Self.json(404, ["code": 404, "message": "no such path"])
        }
    }

    static func json(_ status: Int, _ value: JSONValue, headers: [(String, String)] = []) -> ScriptedAnswer {
        ScriptedAnswer(status, headers: headers + [("Content-Type", "application/json")], bytes: value.encoded())
    }

    private func answer(_ call: Call, _ request: ScriptedRequest, _ body: [UInt8]) -> ScriptedAnswer {
        let json = (try? JSONValue(parsing: body)) ?? [:]
        let parts = request.path.prefix { $0 != "?" }.split(separator: "/").map(String.init)
        let id = parts.first == "v2" ? (parts.count > 2 ? parts[2] : "") : (parts.count > 1 ? parts[1] : "")
        return state.withLock { state in
            switch call {
            case .create: return Self.create(&state, json)
            case .list: return Self.list(state, request)
            default: break
            }
            guard var sandbox = state.sandboxes[id] else {
                return Self.json(404, ["code": 404, "message": .string("sandbox \"\(id)\" doesn't exist")])
            }
            switch call {
            case .create, .list: break
            case .get: return Self.json(200, Self.information(id, sandbox, isDetail: true))
            case .kill:
                state.sandboxes[id] = nil
                return ScriptedAnswer(204)
            case .connect:
                sandbox.isPaused = false
                state.sandboxes[id] = sandbox
                return Self.json(200, Self.handle(id))
            case .timeout: sandbox.timeout = json["timeout"]?.integer ?? 0
            case .pause:
                guard !sandbox.isPaused else { return Self.json(409, ["code": 409, "message": "already paused"]) }
                sandbox.isPaused = true
            case .network: state.network[id] = json
            }
            state.sandboxes[id] = sandbox
            return ScriptedAnswer(204)
        }
    }

    private static func create(_ state: inout State, _ json: JSONValue) -> ScriptedAnswer {
        state.created += 1
        let id = "i" + String(repeating: "0", count: 19 - "\(state.created)".count) + "\(state.created)x"
        state.sandboxes[id] = Sandbox(
            metadata: (json["metadata"]?.object ?? [:]).compactMapValues(\.string),
            timeout: json["timeout"]?.integer ?? 300)
        return Self.json(201, handle(id))
    }

    private static func list(_ state: State, _ request: ScriptedRequest) -> ScriptedAnswer {
        let query = URLComponents(string: request.path)?.queryItems ?? []
        let wanted = query.first { $0.name == "metadata" }?.value ?? ""
        let pairs = (wanted.removingPercentEncoding ?? "").split(separator: "&").map { pair in
            pair.split(separator: "=", maxSplits: 1).map { $0.removingPercentEncoding ?? "" }
        }
        let found = state.sandboxes.sorted { $0.key < $1.key }.filter { _, sandbox in
            pairs.allSatisfy { $0.count == 2 && sandbox.metadata[$0[0]] == $0[1] }
        }
        let start = query.first { $0.name == "nextToken" }?.value.flatMap { Int($0) } ?? 0
        let page = found.dropFirst(start).prefix(state.pageSize)
        let end = start + page.count
        return Self.json(
            200, .array(page.map { information($0.key, $0.value, isDetail: false) }),
            headers: end < found.count ? [("X-Next-Token", "\(end)")] : [])
    }

    private static func handle(_ id: String) -> JSONValue {
        [
            "sandboxID": .string(id), "templateID": "base", "clientID": "6532622b", "envdVersion": "0.6.13",
            "envdAccessToken": "agent-token", "trafficAccessToken": "traffic-token", "domain": .null,
        ]
    }

    private static func information(_ id: String, _ sandbox: Sandbox, isDetail: Bool) -> JSONValue {
        [
            "sandboxID": .string(id), "templateID": "base", "clientID": "6532622b", "envdVersion": "0.6.13",
            "startedAt": "2026-11-21T10:00:00Z", "endAt": "2026-11-21T10:05:00Z", "cpuCount": 2, "memoryMB": 512,
            "diskSizeMB": 1024, "state": .string(sandbox.isPaused ? "paused" : "running"),
            "metadata": .object(sandbox.metadata.mapValues { .string($0) }),
        ]
    }
}
