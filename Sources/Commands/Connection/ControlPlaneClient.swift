import ControlAPI
import ControlPlane
import CurlClient
import DeploymentCore
import Foundation

/// The typed client of the API, for one user on one machine.
struct ControlPlaneClient: Sendable {
    let curl: CurlClient
    let endpoint: Endpoint
    let token: String

    var base: String { "http://\(Configuration.host):\(endpoint.apiPort)/v1" }

    func server() async throws -> ServerResource { try await get("server") }

    func stop(keepingSandboxes: Bool) async throws {
        _ = try await send("POST", "server/stop?keep_sandboxes=\(keepingSandboxes)")
    }

    func missing(_ digests: [String]) async throws -> [String] {
        let missing: BlobList = try await post("blobs/missing", BlobList(digests: digests))
        return missing.digests
    }

    func upload(_ path: String, size: Int64, sha256: String) async throws {
        _ = try await send("PUT", "blobs/\(sha256)", body: .file(path: path, length: size), timeout: nil)
    }

    func submit(_ request: DeployRequest) async throws -> RolloutResource {
        let reply = try await send("POST", "rollouts", body: .bytes(try encode(request)))
        return try decode(reply)
    }

    func rollout(_ id: String) async throws -> RolloutResource { try await get("rollouts/\(id)") }

    func cancel(_ id: String) async throws -> RolloutResource {
        try decode(try await send("DELETE", "rollouts/\(id)", timeout: .seconds(120)))
    }

    func deployments() async throws -> [DeploymentResource] { try await get("deployments") }

    func deployment(_ name: String) async throws -> DeploymentResource { try await get("deployments/\(name)") }

    func revisions(_ name: String) async throws -> [RevisionResource] { try await get("deployments/\(name)/revisions") }

    func revision(_ number: Int, of name: String) async throws -> RevisionDetail {
        try await get("deployments/\(name)/revisions/\(number)")
    }

    func rollBack(_ name: String, to revision: Int?) async throws -> RolloutResource {
        let body = try encode(RollbackRequest(revision: revision))
        return try decode(try await send("POST", "deployments/\(name)/rollback", body: .bytes(body)))
    }

    func destroy(_ name: String) async throws {
        _ = try await send("DELETE", "deployments/\(name)", timeout: .seconds(120))
    }

    /// Follows a rollout to its end; a connection that breaks is made again where it broke, once.
    func follow(_ id: String, _ show: (RolloutEvent) -> Void) async throws -> RolloutResource {
        var last: String?
        for _ in 0..<2 {
            do {
                if let rollout = try await follow(id, after: &last, show) { return rollout }
            } catch let error as BerthError where [.unreachable, .timeout].contains(error.code) {
                continue
            }
        }
        throw BerthError(
            .unreachable, "the control plane went away during the rollout",
            suggestion: "`berth status` tells how it ended; it is undone or complete, never half")
    }

    private func follow(
        _ id: String, after last: inout String?, _ show: (RolloutEvent) -> Void
    ) async throws -> RolloutResource? {
        var request = self.request("GET", "rollouts/\(id)/events", body: .none, timeout: nil)
        if let last { request.headers.append((name: "Last-Event-ID", value: last)) }
        var seen = last
        defer { last = seen }
        return try await curl.withResponse(request) { response in
            try await Self.check(response)
            var reader = EventReader()
            for try await chunk in response.body {
                for (id, data) in try reader.append(chunk) {
                    if let id { seen = id }
                    // A newer control plane may tell more kinds of events than we know.
                    guard let event = try? JSONDecoder().decode(RolloutEvent.self, from: Data(data.utf8)) else {
                        continue
                    }
                    show(event)
                    if case .finished(let rollout) = event { return rollout }
                }
            }
            return nil
        }
    }

    /// Prints what an app prints.
    func logs(_ name: String, query: String, _ deliver: ([UInt8]) throws -> Void) async throws {
        let request = self.request("GET", "deployments/\(name)/logs?\(query)", body: .none, timeout: nil)
        try await curl.withResponse(request) { response in
            try await Self.check(response)
            for try await chunk in response.body { try deliver(chunk) }
        }
    }

    // MARK: requests

    func get<Value: Decodable>(_ path: String) async throws -> Value { try decode(try await send("GET", path)) }

    func post<Value: Encodable, Answer: Decodable>(_ path: String, _ value: Value) async throws -> Answer {
        try decode(try await send("POST", path, body: .bytes(try encode(value))))
    }

    private func encode(_ value: some Encodable) throws -> [UInt8] { Array(try JSONEncoder().encode(value)) }

    func decode<Value: Decodable>(_ reply: HTTPReply) throws -> Value {
        do {
            return try JSONDecoder().decode(Value.self, from: Data(reply.body))
        } catch {
            throw BerthError(
                .internalError, "the control plane's answer is not understood",
                suggestion: "it may be of another version: `berth down`, then try again", cause: error)
        }
    }

    private func request(_ method: String, _ path: String, body: HTTPRequest.Body, timeout: Duration?) -> HTTPRequest {
        var headers = [(name: "Authorization", value: "Bearer \(token)")]
        if case .bytes = body { headers.append((name: "Content-Type", value: "application/json")) }
        return HTTPRequest(
            method: method, url: "\(base)/\(path)", headers: headers, body: body, timeout: timeout,
            transport: .network(.loopback))
    }

    func send(
        _ method: String, _ path: String, body: HTTPRequest.Body = .none, timeout: Duration? = .seconds(60)
    ) async throws -> HTTPReply {
        let reply = try await curl.send(request(method, path, body: body, timeout: timeout), limit: 16 << 20)
        guard reply.status < 400 else { throw Self.failure(reply.status, reply.body) }
        return reply
    }

    private static func check(_ response: HTTPResponse) async throws {
        guard response.status >= 400 else { return }
        throw failure(response.status, try await response.body.collect(limit: 1 << 20))
    }

    private static func failure(_ status: Int, _ body: [UInt8]) -> Failure {
        let problem = try? JSONDecoder().decode(Problem.self, from: Data(body))
        return Failure(problem ?? Problem(code: .internalError, title: "the control plane answered \(status)"))
    }
}

/// Reads the ids and data of server-sent events as they arrive; a line is at most 4 MiB.
struct EventReader {
    private var pending: [UInt8] = []
    private var id: String?
    private static let maximumLine = 4 << 20

    mutating func append(_ bytes: [UInt8]) throws -> [(id: String?, data: String)] {
        pending += bytes
        var events: [(id: String?, data: String)] = []
        var start = 0
        while let end = pending[start...].firstIndex(of: UInt8(ascii: "\n")) {
            let line = String(decoding: pending[start..<end], as: UTF8.self)
            start = end + 1
            if line.hasPrefix("id: ") { id = String(line.dropFirst(4)) }
            guard line.hasPrefix("data: ") else { continue }
            events.append((id, String(line.dropFirst(6))))
            id = nil
        }
        pending.removeSubrange(..<start)
        guard pending.count <= Self.maximumLine else { throw BerthError(.tooLarge, "an event is too large") }
        return events
    }
}
