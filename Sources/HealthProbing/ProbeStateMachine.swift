/// Turns single outcomes into a state, with the thresholds of Kubernetes.
///
/// A state changes only after that many equal verdicts in a row; below the threshold it is left as it is, and the
/// prober's own errors change nothing, not even the streak (`worker.go` of the kubelet's prober).
public struct ProbeStateMachine: Sendable, Equatable {
    /// What is believed of a replica.
    public enum State: Sendable, Equatable {
        case passing, failing
    }

    /// Successes in a row that make it pass; at least 1.
    public let successThreshold: Int
    /// Failures in a row that make it fail; at least 1.
    public let failureThreshold: Int
    /// What is believed now.
    public private(set) var state: State
    /// How often the last verdict came in a row.
    public private(set) var streak = 0
    private var last: ProbeOutcome.Verdict?

    /// Creates a machine: `failing` at first for readiness, `passing` for liveness.
    public init(successThreshold: Int, failureThreshold: Int, initially state: State) {
        self.successThreshold = max(1, successThreshold)
        self.failureThreshold = max(1, failureThreshold)
        self.state = state
    }

    /// Takes an outcome; the new state when it changed, else nil.
    public mutating func handle(_ outcome: ProbeOutcome) -> State? { handle(outcome.verdict) }

    /// Takes a verdict; the new state when it changed, else nil.
    public mutating func handle(_ verdict: ProbeOutcome.Verdict) -> State? {
        guard verdict != .unknown else { return nil }
        streak = verdict == last ? streak + 1 : 1
        last = verdict
        let (threshold, reached) =
            verdict == .success ? (successThreshold, State.passing) : (failureThreshold, .failing)
        guard streak >= threshold, state != reached else { return nil }
        state = reached
        return reached
    }
}
