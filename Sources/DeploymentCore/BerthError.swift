/// The one error type that crosses module borders: what failed, what to do about it, and why.
///
/// Messages are lower case, without a full stop, name the thing, and never carry a secret.
public struct BerthError: Error, Sendable, CustomStringConvertible {
    /// What kind of failure this is; decides the exit code and the HTTP status.
    public let code: Code
    /// What failed, naming the thing and the place.
    public let message: String
    /// The way out, as one sentence that a user can act on.
    public let suggestion: String?
    /// The error underneath, kept so that no cause is swallowed.
    public let cause: (any Error)?

    /// Creates an error; `cause` is kept and printed behind the message.
    public init(_ code: Code, _ message: String, suggestion: String? = nil, cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.suggestion = suggestion
        self.cause = cause
    }

    /// The message and its chain of causes in one line.
    public var description: String {
        guard let cause else { return message }
        return "\(message): \(cause)"
    }
}

extension BerthError {
    /// The kinds of failure, each with the exit code that `berth deploy` and `berth test` end with.
    public enum Code: String, Sendable, Codable, CaseIterable {
        /// A defect of ours, or something nobody foresaw.
        case internalError = "internal_error"
        /// The command line is wrong.
        case usage
        /// The manifest, or a file it names, is wrong.
        case invalidManifest = "invalid_manifest"
        /// The rollout was undone after it had reached traffic.
        case rolledBack = "rolled_back"
        /// A model file is missing, cannot be fetched, or is not the one that was pinned.
        case artifact
        /// Requirements do not resolve or do not install.
        case dependencies
        /// The provider cannot make or keep a sandbox.
        case sandbox
        /// The app ended, or never listened where it should.
        case startFailed = "start_failed"
        /// The app ran but gave no evidence of health in time.
        case notHealthy = "not_healthy"
        /// A smoke prediction was wrong, slow or refused.
        case smokeFailed = "smoke_failed"
        /// The provider's quota is used up.
        case quota
        /// The user, or a newer rollout, cancelled the work.
        case interrupted
        /// The named thing does not exist.
        case notFound = "not_found"
        /// Something else holds the thing: another rollout, or the port.
        case conflict
        /// The other side cannot be reached.
        case unreachable
        /// The disk is full, or the store cannot be written.
        case storageFull = "storage_full"
        /// The token is missing or wrong.
        case unauthorized
        /// A wait passed its limit.
        case timeout
        /// The input exceeds a limit.
        case tooLarge = "too_large"

        /// The process exit code, as documented in `berth --help`.
        public var exitCode: Int32 {
            switch self {
            case .internalError, .conflict, .storageFull, .timeout, .tooLarge, .notFound, .unauthorized: 1
            case .unreachable: 1
            case .usage, .invalidManifest: 2
            case .rolledBack: 3
            case .artifact: 10
            case .dependencies: 11
            case .sandbox: 12
            case .startFailed: 13
            case .notHealthy: 14
            case .smokeFailed: 15
            case .quota: 16
            case .interrupted: 130
            }
        }
    }
}
