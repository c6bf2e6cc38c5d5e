import CurlClient
import DeploymentCore

extension ServedHost {
    /// Asks with the key.
    func ask(
        _ method: String, _ target: String, _ body: String? = nil,
        headers: [(name: String, value: String)] = [("X-API-KEY", key)]
    ) async throws -> Answer {
        let reply = try await curl.send(
            HTTPRequest(
                method: method, url: "http://localhost\(target)",
                headers: headers + (body == nil ? [] : [("Content-Type", "application/json")]),
                body: body.map { .bytes(Array($0.utf8)) } ?? .none, transport: .unixSocket(socket)))
        return Answer(
            status: reply.status, headers: reply.headers,
            json: (try? JSONValue(parsing: reply.body)) ?? .null)
    }

    /// Makes a sandbox; its id.
    func make(_ body: String = #"{"templateID":"base"}"#) async throws -> String {
        try await ask("POST", "/v2/sandboxes", body).json["sandboxID"]?.string ?? ""
    }
}

/// An answer in JSON.
struct Answer: Sendable {
    let status: Int
    let headers: HTTPHeaders
    let json: JSONValue
}
