import CurlClient
import DeploymentCore

/// What the proxy before the sandboxes answers instead of a sandbox (protocol note 2.4).
enum ProxyRefusal: Sendable, Equatable {
    /// There is no such sandbox, or it is paused.
    case noSandbox
    /// Nobody listens on the port.
    case portClosed
    /// Another reason, in the proxy's words.
    case other(status: Int, message: String)

    /// The longest answer that is looked at, in bytes; the proxy's are short.
    private static let maximumBytes = 64 << 10
    private static let statuses: Set<Int> = [403, 409, 429, 502]

    /// Tells an answer of the proxy from one of an app, which may have the same status.
    ///
    /// - Returns: the refusal, or else what was read of the app's body on the way.
    static func read(_ response: HTTPResponse) async throws -> (refusal: ProxyRefusal?, body: [UInt8]?) {
        guard statuses.contains(response.status), response.headers["Content-Type"]?.contains("json") ?? false,
            let length = response.headers["Content-Length"].flatMap({ Int($0) }), length <= maximumBytes
        else { return (nil, nil) }
        let body = try await response.body.collect(limit: maximumBytes)
        return (ProxyRefusal(status: response.status, body: body), body)
    }

    init?(status: Int, body: [UInt8]) {
        guard let json = try? JSONValue(parsing: body), json["sandboxId"]?.string != nil,
            json["code"]?.integer == Int64(status), let message = json["message"]?.string
        else { return nil }
        if status == 502, message.contains("port is not open") {
            self = .portClosed
        } else if status == 502, message.contains("was not found") {
            self = .noSandbox
        } else {
            self = .other(status: status, message: VisibleText.of(String(message.prefix(E2BRefusal.maximumShown))))
        }
    }

    /// The error for whoever wanted a connection into `sandbox`.
    func error(_ sandbox: String) -> BerthError {
        switch self {
        case .noSandbox: BerthError(.unreachable, "sandbox \(sandbox) was not found: it has ended, or it is paused")
        case .portClosed: BerthError(.unreachable, "nobody listens on the port of sandbox \(sandbox)")
        case .other(429, let message): BerthError(.quota, "E2B gives no connection into sandbox \(sandbox): \(message)")
        case .other(403, let message):
            BerthError(.unauthorized, "E2B gives no connection into sandbox \(sandbox): \(message)")
        case .other(_, let message):
            BerthError(.unreachable, "E2B gives no connection into sandbox \(sandbox): \(message)")
        }
    }
}
