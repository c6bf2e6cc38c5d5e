import DeploymentCore

/// An answer of the gateway's own (RFC 9457), with `success: false` as every error of a deployment has.
struct Problem: Equatable {
    /// How long a client should wait before it tries again after a 503, in seconds, unless something better is known.
    static let retryAfter = 1

    var status: Int
    /// The last part of the problem's type.
    var kind: String
    var title: String
    var detail: String
    var stage: String?
    /// In seconds; told with a 503.
    var retryAfter = Self.retryAfter

    /// The problem of a refused message.
    init(_ refusal: Refusal) {
        self.init(refusal.status, "refused-request", "request refused", refusal.detail)
    }

    /// The problem of an upstream that says why it takes no connection.
    init(_ reason: RouteUnavailable) {
        self.init(503, reason.kind, "not available", reason.detail)
        retryAfter = reason.retryAfter
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

    /// What a client gets.
    var answer: OwnAnswer {
        var members: [String: JSONValue] = [
            "type": .string("urn:berth:problem:\(kind)"), "title": .string(title), "status": .integer(Int64(status)),
            "detail": .string(detail), "success": false,
        ]
        if let stage { members["stage"] = .string(stage) }
        return OwnAnswer(
            status: status, mediaType: "application/problem+json", body: JSONValue.object(members).encoded(),
            retryAfter: status == 503 ? retryAfter : nil)
    }
}
