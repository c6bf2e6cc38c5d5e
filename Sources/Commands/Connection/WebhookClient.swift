import ControlPlane
import CurlClient
import DeploymentCore
import E2BProtocol
import Foundation

/// The webhooks of the control plane's E2B API, or of the service that `E2B_API_URL` and `E2B_API_KEY` name.
struct WebhookClient: Sendable {
    /// The port of the E2B API unless `BERTH_E2B_PORT` says otherwise.
    static let defaultPort = 4980

    private let curl: CurlClient
    private let base: String
    private let key: String
    private let addresses: AddressPolicy

    static func with<Result: Sendable>(_ body: (WebhookClient) async throws -> Result) async throws -> Result {
        let curl = CurlClient()
        defer { curl.close() }
        return try await body(WebhookClient(curl, ProcessInfo.processInfo.environment))
    }

    private init(_ curl: CurlClient, _ environment: [String: String]) throws {
        func value(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }
        self.curl = curl
        let service = value("E2B_API_URL")
        base = service ?? "http://\(Configuration.host):\(value("BERTH_E2B_PORT") ?? String(Self.defaultPort))"
        addresses = service == nil ? .loopback : .any
        if let given = value("E2B_API_KEY") {
            key = given
        } else {
            let path = try Connection.configuration().path("e2b.key")
            guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
                throw BerthError(
                    .unreachable, "there is no key of the E2B API at \(path)",
                    suggestion: "start the control plane with `berth serve`, or set E2B_API_KEY")
            }
            key = text.trimmingCharacters(in: .whitespacesAndNewlines)
        }
    }

    func webhooks() async throws -> [WebhookDescription] {
        guard let found = try await send("GET", "").array else { throw Self.notUnderstood() }
        return try found.map(Self.read)
    }

    func add(_ creation: WebhookCreation) async throws -> WebhookDescription {
        try Self.read(try await send("POST", "", creation.json))
    }

    func remove(_ id: String) async throws { _ = try await send("DELETE", "/\(Self.escaped(id))") }

    func deliveries(of id: String, limit: Int) async throws -> JSONValue {
        try await send("GET", "/\(Self.escaped(id))/deliveries?limit=\(limit)")
    }

    func redeliver(_ event: String, to id: String) async throws -> JSONValue {
        try await send("POST", "/\(Self.escaped(id))/deliveries/\(Self.escaped(event))/redeliver")
    }

    private static func escaped(_ id: String) -> String {
        id.addingPercentEncoding(withAllowedCharacters: .alphanumerics.union(CharacterSet(charactersIn: "-"))) ?? ""
    }

    private static func read(_ json: JSONValue) throws -> WebhookDescription {
        do { return try WebhookDescription(json: json) } catch { throw notUnderstood(error) }
    }

    private static func notUnderstood(_ cause: (any Error)? = nil) -> BerthError {
        BerthError(.internalError, "the answer of the E2B API is not understood", cause: cause)
    }

    private func send(_ method: String, _ path: String, _ body: JSONValue? = nil) async throws -> JSONValue {
        var headers = [(name: "X-API-Key", value: key)]
        if body != nil { headers.append((name: "Content-Type", value: "application/json")) }
        let request = HTTPRequest(
            method: method, url: "\(base)/events/webhooks\(path)", headers: headers,
            body: body.map { .bytes($0.encoded()) } ?? .none, transport: .network(addresses))
        let reply = try await curl.send(request, limit: 16 << 20)
        let json = try? JSONValue(parsing: reply.body)
        guard reply.status < 400 else {
            let message = json?["message"]?.string ?? "the E2B API answered \(reply.status)"
            switch reply.status {
            case 401, 403: throw BerthError(.unauthorized, message)
            case 404: throw BerthError(.notFound, message)
            case 409: throw BerthError(.conflict, message)
            case 400..<500: throw BerthError(.usage, message)
            default: throw BerthError(.internalError, message)
            }
        }
        return json ?? .null
    }
}
