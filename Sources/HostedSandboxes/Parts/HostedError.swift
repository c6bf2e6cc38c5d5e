import DeploymentCore
import E2BProtocol

extension ControlFailure {
    /// Any error, as clients are told it. Nothing that is not ours to tell gets out.
    public init(_ error: any Error) {
        switch error {
        case let failure as ControlFailure: self = failure
        case let error as ConnectError: self = ControlFailure(error.code.httpStatus, error.message)
        case let error as BerthError: self = Self.translate(error)
        case is CancellationError: self = ControlFailure(503, "the request was cancelled", shouldRetry: false)
        default: self = ControlFailure(500, "the server failed", kind: "internal_server_error")
        }
    }

    private static func translate(_ error: BerthError) -> ControlFailure {
        let message = VisibleText.of([error.message, error.suggestion].compactMap { $0 }.joined(separator: "; "))
        return switch error.code {
        case .usage, .invalidManifest: ControlFailure(400, message)
        case .tooLarge: ControlFailure(413, message)
        case .notFound: ControlFailure(404, message)
        case .conflict: ControlFailure(409, message)
        case .quota: ControlFailure(429, message, shouldRetry: false)
        case .unauthorized: ControlFailure(401, message)
        case .storageFull:
            ControlFailure(503, message, kind: "sandbox_capacity_unavailable", shouldRetry: false)
        case .timeout: ControlFailure(503, message, kind: "sandbox_placement_timeout", shouldRetry: false)
        case .unreachable: ControlFailure(503, message, shouldRetry: false)
        case .sandbox: ControlFailure(500, message, kind: "sandbox_create_failed")
        default: ControlFailure(500, message, kind: "internal_server_error")
        }
    }
}
