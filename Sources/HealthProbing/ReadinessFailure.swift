import DeploymentCore
import Sandboxes

/// The best explanation of why an app was not ready in time; pure.
struct ReadinessFailure {
    let last: ProbeOutcome?
    /// Who listens in the sandbox; nil when that cannot be told.
    let listeners: [Listener]?
    let port: Int
    let tag: String
    let health: Manifest.Health

    private var budget: String { health.startupTimeout.shortText }
    private var request: String { "GET \(health.path ?? "/")" }

    /// What to throw.
    var error: BerthError {
        switch last {
        case nil: make(.notHealthy, "no probe of the app ended within \(budget)", nil)
        case .refused?: refused
        case .reset?:
            make(
                .notHealthy, "the app closes each connection on port \(port) without an answer to \(request)",
                "read the app's last output; a server whose workers crash behaves like this")
        case .silent?:
            make(
                .notHealthy,
                "the app accepts connections on port \(port) but does not answer \(request) "
                    + "within \(health.timeout.shortText)",
                "the model may still be loading or its worker may be failing: read the app's last output, "
                    + "or raise health.startup_timeout or health.timeout")
        case .status(let status, let body)?: wrongStatus(status, body)
        case .wrongBody(let why, let body)?:
            make(
                .notHealthy, "\(request) answers, but \(why)\(quote(body))",
                "health.expect names what the answer must contain")
        case .wrongRevision(let revision?)?:
            make(
                .notHealthy, "\(request) is answered by revision \(revision), not by the one that was started",
                "an older process still holds port \(port)")
        case .wrongRevision(nil)?:
            make(
                .notHealthy,
                "\(request) is answered without header \(Prober.revisionHeader), so not by the rendered app",
                "another program holds port \(port)")
        case .wrongListener(let why)?:
            make(.notHealthy, why, "the app itself must listen on $PORT, in the process tree it was started in")
        case .proberError(let why)?: make(.notHealthy, "the app could not be probed: \(why)", nil)
        case .healthy?:
            make(
                .notHealthy, "the app was not healthy \(health.successThreshold) times in a row within \(budget)",
                "lower health.success_threshold or raise health.startup_timeout")
        }
    }

    private func make(_ code: BerthError.Code, _ message: String, _ suggestion: String?) -> BerthError {
        BerthError(code, message, suggestion: suggestion)
    }

    private var refused: BerthError {
        let own = (listeners ?? []).filter { $0.tag == tag }
        if let here = own.first(where: { $0.port == port }) {
            return make(
                .startFailed, "the app listens on \(show(here)), which 127.0.0.1:\(port) does not reach",
                "listen on 127.0.0.1 or 0.0.0.0")
        }
        if let elsewhere = own.min(by: { $0.port < $1.port }) {
            return make(
                .startFailed, "the app listens on \(show(elsewhere)), not on port \(port)",
                "listen on $PORT, or set server.port: \(elsewhere.port)")
        }
        if let stranger = listeners?.min(by: { $0.port < $1.port }) {
            return make(
                .startFailed,
                "nothing listened on port \(port) within \(budget); \(show(stranger)) is held by a process outside "
                    + "of the app's session", "listen on $PORT in the process that the manifest starts")
        }
        return make(
            .startFailed, "the app runs, but nothing listened on port \(port) within \(budget)",
            "listen on $PORT; if loading takes longer, raise health.startup_timeout")
    }

    private func wrongStatus(_ status: Int, _ body: String) -> BerthError {
        let suggestion: String? =
            switch status {
            case 404, 405:
                "set health.path to a path that answers 200, or health.path: none to go by process, port and smoke tests"
            case 401, 403: "set health.headers to what the app asks for, or health.path to a path that is open"
            case 300..<400: "set health.path to the path that the redirect leads to"
            case 503: "it may still be loading: read the app's last output, or raise health.startup_timeout"
            case 500...: "read the app's last output, which names the cause"
            default: nil
            }
        return make(.notHealthy, "\(request) answers \(status)\(quote(body))", suggestion)
    }

    private func show(_ listener: Listener) -> String {
        listener.address.contains(":")
            ? "[\(listener.address)]:\(listener.port)" : "\(listener.address):\(listener.port)"
    }

    /// The most characters of a body that a message shows.
    static let maximumQuoted = 200

    /// A body in one line, without control characters, since an app wrote it.
    private func quote(_ body: String) -> String {
        let scalars = body.unicodeScalars.prefix(Self.maximumQuoted)
        let text = String(
            String.UnicodeScalarView(scalars.map { $0.properties.generalCategory == .control ? " " : $0 }))
        return text.allSatisfy { $0 == " " } ? "" : ": \(text)\(body.unicodeScalars.count > scalars.count ? "…" : "")"
    }
}

extension Duration {
    /// `250 ms`, `1.5 s`, `120 s`.
    var shortText: String {
        let milliseconds = self / .milliseconds(1)
        return milliseconds < 1000
            ? "\(JSONComparison.show(milliseconds.rounded())) ms"
            : "\(JSONComparison.show((milliseconds / 100).rounded() / 10)) s"
    }
}
