import DeploymentCore

/// An answer of the gateway's own (RFC 9457), with `success: false` as every error of a deployment has.
struct Problem: Equatable {
    /// How long a client should wait before it tries again after a 503, in seconds.
    static let retryAfter = 1

    var status: Int
    /// The last part of the problem's type.
    var kind: String
    var title: String
    var detail: String
    var stage: String?

    /// The problem of a refused message.
    init(_ refusal: Refusal) {
        self.init(refusal.status, "refused-request", "request refused", refusal.detail)
    }

    /// Creates a problem.
    init(_ status: Int, _ kind: String, _ title: String, _ detail: String, stage: String? = nil) {
        self.status = status
        self.kind = kind
        self.title = title
        self.detail = detail
        self.stage = stage
    }

    static let unknownDeployment = Problem(
        404, "unknown-deployment", "not found", "there is no deployment of this name")
    static let headTimeout = Problem(408, "slow-request", "request too slow", "the request did not arrive in time")
    static let tooManyConnections = Problem(503, "overloaded", "overloaded", "the gateway has too many connections")
    static let connectFailed = Problem(
        503, "app-unreachable", "app not reachable", "the app does not accept connections; nothing was sent to it")
    static let connectTimeout = Problem(
        504, "app-unreachable", "app not reachable", "the app did not accept a connection in time")
    static let badAnswer = Problem(502, "bad-answer", "bad answer", "the app sent an answer that is not valid http/1.1")
    static let appGone = Problem(502, "app-gone", "no answer", "the app closed the connection without an answer")
    static let appSlow = Problem(
        504, "app-timeout", "app too slow", "the app did not answer within the route's timeout")
    static let draining = Problem(504, "draining", "draining", "the revision was drained before the app had answered")
    static let stopping = Problem(503, "stopping", "stopping", "the gateway is stopping")

    static func notExposed(_ name: String, stage: String) -> Problem {
        Problem(404, "not-exposed", "not exposed yet", "deployment \(name) is in stage \(stage)", stage: stage)
    }

    static func unknownPath(_ name: String) -> Problem {
        Problem(
            404, "unknown-path", "not found",
            "deployment \(name) answers /\(name)/predict, /\(name)/health and "
                + "/\(name)/info")
    }

    static func unmapped(_ name: String, _ action: RouteAction) -> Problem {
        Problem(404, "unmapped-path", "not found", "the app of deployment \(name) has no \(action) path")
    }

    /// The whole answer in bytes.
    ///
    /// - Parameters:
    ///   - isHead: whether the body is to be left out.
    ///   - connection: what the `Connection` field says; nil leaves it out.
    ///   - revisionLine: the `X-Berth-Revision` line, empty when no revision is known.
    func response(isHead: Bool, connection: String?, revisionLine: [UInt8]) -> [UInt8] {
        var members: [String: JSONValue] = [
            "type": .string("urn:berth:problem:\(kind)"), "title": .string(title), "status": .integer(Int64(status)),
            "detail": .string(detail), "success": false,
        ]
        if let stage { members["stage"] = .string(stage) }
        let body = JSONValue.object(members).encoded()
        var head = "HTTP/1.1 \(status) \(Self.reason(status))\r\nContent-Type: application/problem+json\r\n"
        head += "Content-Length: \(body.count)\r\n"
        if status == 503 { head += "Retry-After: \(Self.retryAfter)\r\n" }
        if let connection { head += "Connection: \(connection)\r\n" }
        return Array(head.utf8) + revisionLine + [13, 10] + (isHead ? [] : body)
    }

    private static func reason(_ status: Int) -> String {
        switch status {
        case 400: "Bad Request"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 408: "Request Timeout"
        case 413: "Content Too Large"
        case 414: "URI Too Long"
        case 417: "Expectation Failed"
        case 431: "Request Header Fields Too Large"
        case 501: "Not Implemented"
        case 502: "Bad Gateway"
        case 503: "Service Unavailable"
        case 504: "Gateway Timeout"
        case 505: "HTTP Version Not Supported"
        default: "Error"
        }
    }
}
