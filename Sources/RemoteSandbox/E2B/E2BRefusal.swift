import CurlClient
import DeploymentCore
import E2BProtocol

/// An answer of the control plane that is no success.
public struct E2BRefusal: Error, Sendable, Equatable, CustomStringConvertible {
    /// The longest text of an answer that is kept, in characters.
    static let maximumShown = 500

    /// The HTTP status.
    public let status: Int
    /// What the service says, without the key.
    public let message: String
    /// The kind of failure, as `sandbox_capacity_unavailable`; most have none.
    public let kind: String?
    /// The seconds until it may be tried again.
    public let retryAfter: Int?

    /// The status and the kind; the message is part of the error that this is the cause of.
    public var description: String { "status \(status)" + (kind.map { ", \($0)" } ?? "") }

    init(_ reply: HTTPReply, hiding secret: String) {
        let failure = (try? JSONValue(parsing: reply.body)).flatMap { try? ControlFailure(json: $0) }
        let text = failure.map(\.message) ?? String(decoding: reply.body.prefix(4 * Self.maximumShown), as: UTF8.self)
        // A service that repeats what it was shown must not bring the key into a log.
        let visible = VisibleText.of(text.replacing(secret, with: "***"))
        status = reply.status
        message = visible.isEmpty ? "no reason given" : String(visible.prefix(Self.maximumShown))
        kind = failure?.kind
        retryAfter = E2BRetry.seconds(reply.headers["Retry-After"])
    }

    /// The error that a user reads: what was wanted, what the service says, and the way out.
    ///
    /// - Parameter wish: what was asked for, as `create a sandbox`.
    func error(_ wish: String) -> BerthError {
        let text = "E2B refuses to \(wish): \(message)"
        switch status {
        case 401:
            return BerthError(
                .unauthorized, text, suggestion: "set E2B_API_KEY to a key of this account or server", cause: self)
        case 403: return BerthError(.unauthorized, text, cause: self)
        case 404: return BerthError(.notFound, text, cause: self)
        case 409: return BerthError(.conflict, text, cause: self)
        case 429:
            let hint = retryAfter.map { "; it may be tried again in \($0) s" } ?? ""
            return BerthError(
                .quota, text + hint, suggestion: "end sandboxes that are not needed, or wait and try again", cause: self
            )
        case 503:
            let wait = retryAfter.map { "in \($0) s" } ?? "in a moment"
            return BerthError(.sandbox, text, suggestion: "E2B is busy: try again \(wait)", cause: self)
        default: return BerthError(.sandbox, text, cause: self)
        }
    }
}

extension BerthError {
    /// Whether the call may have had its effect although it failed: no answer came, or none of the control plane's own.
    var leavesDoubt: Bool {
        if let refusal = cause as? E2BRefusal { return [500, 502, 504].contains(refusal.status) }
        return !isUnsent && [.unreachable, .timeout, .tooLarge].contains(code)
    }

    /// Whether no connection was made, so that nothing was asked.
    var isUnsent: Bool { (cause as? CurlError)?.isUnsent ?? (cause as? BerthError)?.isUnsent ?? false }
}

extension CurlError {
    /// The name was not found, or nobody took the connection: `CURLE_COULDNT_RESOLVE_PROXY`,
    /// `CURLE_COULDNT_RESOLVE_HOST`, `CURLE_COULDNT_CONNECT`.
    var isUnsent: Bool { (5...7).contains(code) }
}
