import CurlClient
import DeploymentCore
import E2BProtocol

/// A cell's run by the code interpreter of a sandbox (protocol note 4).
public struct E2BExecution: Sendable, Equatable {
    /// What it printed.
    public var output: String
    /// The text of its last expression; nil when it had none.
    public var result: String?
    /// Its error, as `NameError: name 'x' is not defined`; nil when there was none.
    public var error: String?
}

extension E2BClient {
    /// The budget of one cell.
    static let cellTimeout = Duration.seconds(300)
    /// The most that a cell may print, in bytes.
    static let cellLimit = 8 << 20

    /// Runs a cell in a sandbox whose template brings the interpreter.
    ///
    /// - Throws: `unreachable` when nobody listens there.
    public func run(_ code: String, in handle: SandboxHandle) async throws -> E2BExecution {
        let port = E2BProtocol.HostName.appPort
        let base = account.base(sandbox: handle.sandbox, port: port, domain: handle.domain)
        var headers = E2BAccount.routing(sandbox: handle.sandbox, port: port, trafficToken: handle.trafficToken)
        headers += [(name: "User-Agent", value: E2BAccount.sender), (name: "Content-Type", value: "application/json")]
        if let token = handle.agentToken { headers.append((name: "X-Access-Token", value: token)) }
        let body: JSONValue = ["code": .string(code), "context_id": .null, "language": .null, "env_vars": .null]
        var request = HTTPRequest(
            method: "POST", url: "\(base)/execute", headers: headers, body: .bytes(body.encoded()),
            timeout: Self.cellTimeout, connectTimeout: Self.connectTimeout, transport: account.transport(to: base))
        request.certificates = account.certificates
        let reply = try await curl.send(request, limit: Self.cellLimit)
        guard reply.status == 200 else {
            if let refusal = ProxyRefusal(status: reply.status, body: reply.body) {
                throw refusal.error(handle.sandbox)
            }
            throw E2BRefusal(reply, hiding: account.key).error("run code in sandbox \(handle.sandbox)")
        }
        return Self.execution(reply.body)
    }

    /// One JSON object on each line; kinds that are not known here are left out.
    static func execution(_ body: [UInt8]) -> E2BExecution {
        var execution = E2BExecution(output: "")
        for line in body.split(separator: UInt8(ascii: "\n")) {
            guard let json = try? JSONValue(parsing: Array(line)), let kind = json["type"]?.string else { continue }
            switch kind {
            case "stdout", "stderr": execution.output += json["text"]?.string ?? ""
            case "result" where execution.result == nil || json["is_main_result"]?.bool == true:
                execution.result = json["text"]?.string
            case "error":
                execution.error = [json["name"], json["value"]].compactMap { $0?.string }.joined(separator: ": ")
            default: break
            }
        }
        return execution
    }
}
