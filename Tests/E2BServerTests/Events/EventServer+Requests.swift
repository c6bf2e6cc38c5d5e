import CurlClient
import DeploymentCore
import DeploymentStore
import HostedSandboxes

extension EventServer {
    func request(
        _ method: String, _ path: String, _ body: String? = nil, headers: [(name: String, value: String)] = []
    ) -> HTTPRequest {
        HTTPRequest(
            method: method, url: "http://e2b\(path)", headers: [("Content-Type", "application/json")] + headers,
            body: body.map { .bytes(Array($0.utf8)) } ?? .none, timeout: .seconds(60),
            transport: .unixSocket(socket))
    }

    /// The status and the JSON of an answer; null for an empty one.
    func send(_ method: String, _ path: String, _ body: String? = nil) async throws -> (status: Int, json: JSONValue) {
        let reply = try await client.send(request(method, path, body))
        return (reply.status, reply.body.isEmpty ? .null : try JSONValue(parsing: reply.body))
    }

    func send(_ method: String, _ path: String, _ body: JSONValue) async throws -> (status: Int, json: JSONValue) {
        try await send(method, path, body.description)
    }

    @discardableResult
    func happen(_ kind: SandboxEventRecord.Kind = .created, to sandbox: String = "i1") throws -> String {
        let record = SandboxEventRecord(
            kind, sandbox: sandbox, execution: "x", template: "base", build: "b",
            data: SandboxEventData(metadata: ["a": "b"]), time: Self.start)
        try store.append(record)
        return record.id
    }
}
