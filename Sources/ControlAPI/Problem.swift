import DeploymentCore

/// An error on the wire (RFC 9457), with our stable code and the way out.
public struct Problem: Codable, Sendable, Equatable, Error, CustomStringConvertible {
    /// The stable code, `BerthError.Code`.
    public var code: BerthError.Code
    /// What failed.
    public var title: String
    /// What to do about it.
    public var suggestion: String?
    /// What lay underneath: causes, then the last output of the app; several lines.
    public var detail: String?
    /// The HTTP status.
    public var status: Int

    /// The title.
    public var description: String { title }

    /// The media type.
    public static let mediaType = "application/problem+json"

    /// Creates a problem.
    public init(code: BerthError.Code, title: String, suggestion: String? = nil, detail: String? = nil) {
        self.code = code
        self.title = title
        self.suggestion = suggestion
        self.detail = detail
        status = code.httpStatus
    }

    /// Puts an error on the wire, without what a terminal would obey; `output` is what the app printed last.
    public init(_ error: any Error, output: String? = nil) {
        guard let error = error as? BerthError else {
            self.init(
                code: error is CancellationError ? .interrupted : .internalError,
                title: VisibleText.of("\(error)"), detail: output.map(VisibleText.of))
            return
        }
        let causes = error.cause.map { "\($0)" }
        let detail = [causes, output].compactMap { $0 }.filter { !$0.isEmpty }.joined(separator: "\n")
        self.init(
            code: error.code, title: VisibleText.of(error.message), suggestion: error.suggestion.map(VisibleText.of),
            detail: detail.isEmpty ? nil : VisibleText.of(detail))
    }
}

extension BerthError.Code {
    /// The HTTP status an API answer carries.
    public var httpStatus: Int {
        switch self {
        case .internalError, .rolledBack: 500
        case .usage: 400
        case .invalidManifest, .artifact, .dependencies, .startFailed, .notHealthy, .smokeFailed: 422
        case .sandbox: 502
        case .quota: 429
        case .interrupted, .conflict: 409
        case .notFound: 404
        case .unreachable: 503
        case .storageFull: 507
        case .unauthorized: 401
        case .timeout: 504
        case .tooLarge: 413
        }
    }
}
