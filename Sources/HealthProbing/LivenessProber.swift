import CurlClient
import DeploymentCore
import Sandboxes

/// Watches a replica that serves.
public struct LivenessProber: Sendable {
    private let client: CurlClient

    /// Creates a prober.
    public init(client: CurlClient) {
        self.client = client
    }

    /// Probes every `Manifest.Health.livenessInterval`, one probe at a time; a paused sandbox is left alone.
    ///
    /// - Parameters:
    ///   - tag: the tag of the app's process, which must hold the port; nil does not check that.
    ///   - jitter: the part of an interval, 0 to 1, before the first probe, so that many replicas do not probe in step.
    /// - Returns: the last outcome, once `health.failure_threshold` probes in a row have failed; nil when cancelled.
    public func watch(
        _ sandbox: any Sandbox, manifest: Manifest, nonce: String?, tag: String? = nil,
        clock: any Clock<Duration> = ContinuousClock(), jitter: Double = .random(in: 0..<1),
        onOutcome: @Sendable (ProbeOutcome) -> Void = { _ in }
    ) async -> ProbeOutcome? {
        let health = manifest.effectiveHealth
        let prober = Prober(client: client, clock: clock)
        var machine = ProbeStateMachine(
            successThreshold: 1, failureThreshold: health.failureThreshold, initially: .passing)
        var delay = Manifest.Health.livenessInterval * min(max(jitter, 0), 1)
        while true {
            do { try await clock.sleep(for: delay) } catch { return nil }
            delay = Manifest.Health.livenessInterval
            if sandbox.isPaused { continue }
            let outcome = await prober.probe(sandbox, health: health, nonce: nonce, tag: tag)
            if Task.isCancelled { return nil }
            // It was paused under the probe, which then says nothing.
            if sandbox.isPaused { continue }
            onOutcome(outcome)
            if machine.handle(outcome) == .failing { return outcome }
        }
    }
}
