/// What one probe saw; each case is a different state of the app.
public enum ProbeOutcome: Sendable, Equatable {
    /// Everything asked for was there.
    case healthy
    /// Nobody listens.
    case refused
    /// The connection was closed before the answer was whole.
    case reset
    /// The connection was accepted, but no whole answer came in time.
    case silent
    /// An answer outside of 2xx.
    case status(Int, body: String)
    /// A 2xx answer whose body is not what `health.expect` asks for, or that is not HTTP at all.
    case wrongBody(String, body: String)
    /// A 2xx answer of somebody who does not know this revision's nonce.
    case wrongRevision(String?)
    /// A 2xx answer, or an open port, of a process that is not ours.
    case wrongListener(String)
    /// The probe itself failed, which says nothing about the app.
    case proberError(String)

    /// What the outcome counts as.
    public enum Verdict: Sendable, Equatable, CaseIterable {
        case success, failure, unknown
    }

    /// What the outcome counts as.
    public var verdict: Verdict {
        switch self {
        case .healthy: .success
        case .proberError: .unknown
        case .refused, .reset, .silent, .status, .wrongBody, .wrongRevision, .wrongListener: .failure
        }
    }
}

extension ProbeOutcome: CustomStringConvertible {
    /// One line without the body: `answered 503`.
    public var description: String {
        switch self {
        case .healthy: "healthy"
        case .refused: "refused the connection"
        case .reset: "closed the connection without a whole answer"
        case .silent: "accepted the connection but did not answer in time"
        case .status(let status, _): "answered \(status)"
        case .wrongBody(let why, _): "answered, but \(why)"
        case .wrongRevision(let revision?): "answered as revision \(revision)"
        case .wrongRevision(nil): "answered without naming its revision"
        case .wrongListener(let why): why
        case .proberError(let why): "could not be probed: \(why)"
        }
    }
}
