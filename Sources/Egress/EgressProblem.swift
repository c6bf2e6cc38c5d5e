import DeploymentCore

/// Why a connection is not made: the answer to the app (RFC 9457), and for a refusal the line in its log.
struct EgressProblem: Error, Equatable {
    var status: Int
    /// The last part of the problem's type.
    var kind: String
    var detail: String
    /// The host and port that were asked for.
    var host: String?
    /// What forbids it, in a word or two.
    var rule: String?

    private init(_ status: Int, _ kind: String, _ detail: String, host: String? = nil, rule: String? = nil) {
        self.status = status
        self.kind = kind
        self.detail = detail
        self.host = host
        self.rule = rule
    }

    static func refused(_ host: String, rule: String, _ detail: String) -> EgressProblem {
        EgressProblem(403, "egress-refused", detail, host: host, rule: rule)
    }

    static func malformed(_ detail: String) -> EgressProblem { EgressProblem(400, "malformed-request", detail) }

    static let headTooLarge = EgressProblem(431, "head-too-large", "the request's head is too large")
    static let headTimeout = EgressProblem(408, "slow-request", "the request did not arrive in time")
    static let unsupportedVersion = EgressProblem(505, "unsupported-version", "this proxy speaks http/1.1")
    static let tooManyConnections = EgressProblem(503, "overloaded", "too many connections leave this sandbox")

    static func unknownName(_ host: String, _ reason: String) -> EgressProblem {
        EgressProblem(502, "name-not-found", "\(host) cannot be looked up: \(reason)", host: host)
    }

    static func lookupTimeout(_ host: String) -> EgressProblem {
        EgressProblem(504, "lookup-timeout", "\(host) was not looked up in time", host: host)
    }

    static func unreachable(_ host: String, _ reason: String) -> EgressProblem {
        EgressProblem(502, "unreachable", "\(host) gives no connection: \(reason)", host: host)
    }

    static func connectTimeout(_ host: String) -> EgressProblem {
        EgressProblem(504, "connect-timeout", "\(host) gave no connection in time", host: host)
    }

    /// The whole answer in bytes; its connection ends with it.
    ///
    /// The reason phrase says it too, since that is all that most clients show of an answer to CONNECT.
    func response() -> [UInt8] {
        var members: [String: JSONValue] = [
            "type": .string("urn:berth:problem:\(kind)"), "title": .string(Self.title(status)),
            "status": .integer(Int64(status)), "detail": .string(detail), "success": false,
        ]
        if let host { members["host"] = .string(host) }
        if let rule { members["rule"] = .string(rule) }
        let body = JSONValue.object(members).encoded()
        let phrase = detail.utf8.filter { (0x20..<0x7F).contains($0) }
        let head =
            "HTTP/1.1 \(status) \(String(decoding: phrase, as: UTF8.self))\r\n"
            + "Content-Type: application/problem+json\r\nContent-Length: \(body.count)\r\nConnection: close\r\n\r\n"
        return Array(head.utf8) + body
    }

    private static func title(_ status: Int) -> String {
        switch status {
        case 400: "malformed request"
        case 403: "not allowed by this deployment's network"
        case 408: "request too slow"
        case 431: "request head too large"
        case 502: "not reachable"
        case 503: "overloaded"
        case 504: "no answer in time"
        default: "not supported"
        }
    }
}
