/// How one smoke prediction went.
public struct SmokeResult: Sendable, Equatable, Codable {
    /// What the manifest calls it.
    public var name: String
    /// Whether everything held.
    public var passed: Bool
    /// From the request's first byte to the answer's last.
    public var duration: Duration
    /// The HTTP status; nil when there was no answer.
    public var status: Int?
    /// One line for each thing that did not hold: `$.confidence: expected at least 0.9, got 0.42`.
    public var failures: [String]
    /// The first 2 KiB of the answer; nil when there was none.
    public var response: String?

    /// Creates a result.
    public init(
        name: String, passed: Bool, duration: Duration, status: Int? = nil, failures: [String] = [],
        response: String? = nil
    ) {
        self.name = name
        self.passed = passed
        self.duration = duration
        self.status = status
        self.failures = failures
        self.response = response
    }
}
