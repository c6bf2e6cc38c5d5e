import DeploymentCore
import Sandboxes

extension Prober {
    /// How soon a refused connection is tried again, so that a fast app is seen at once; doubles up to the limit.
    static let refusedInterval = Duration.milliseconds(5)
    /// The longest time until a refused connection is tried again.
    static let maximumRefusedInterval = Duration.milliseconds(50)

    /// Waits on process exit, port and HTTP at once until the app is ready.
    ///
    /// - Parameters:
    ///   - tag: the tag the app's process was started with.
    ///   - exit: suspends until the process ended, and gives how, nil when nobody knows; must return when cancelled.
    ///   - nonce: this revision's, for a rendered app; nil for an own app, whose listener is checked instead.
    ///   - onOutcome: told each outcome that differs from the one before.
    ///   - afterEach: told whenever the app was asked.
    /// - Throws: `start_failed` when the process ended or never listened, `not_healthy` when it listened but gave no
    ///   evidence of health within `health.startup_timeout`, `CancellationError`.
    public func waitUntilReady(
        _ sandbox: any Sandbox, tag: String, exit: @escaping @Sendable () async -> ExitStatus?, manifest: Manifest,
        nonce: String?, onOutcome: @escaping @Sendable (ProbeOutcome) -> Void = { _ in },
        afterEach: @escaping @Sendable () -> Void = {}
    ) async throws {
        let health = manifest.effectiveHealth
        let last = Locked<ProbeOutcome?>(nil)
        let end = try await withThrowingTaskGroup(of: End.self) { group in
            defer { group.cancelAll() }
            group.addTask { .exited(await exit()) }
            group.addTask {
                try await clock.sleep(for: health.startupTimeout)
                return .deadline
            }
            group.addTask {
                try await probeUntilReady(sandbox, health: health, nonce: nonce, tag: tag) { outcome in
                    let isNew = last.withLock { last in
                        defer { last = outcome }
                        return last != outcome
                    }
                    if isNew { onOutcome(outcome) }
                    afterEach()
                }
                return .ready
            }
            return try await group.next()
        }
        try Task.checkCancellation()
        switch end {
        case .ready?: return
        case .exited(let status)?: throw Self.exitError(status, after: last.withLock { $0 })
        case .deadline?, nil:
            let story = ReadinessFailure(
                last: last.withLock { $0 }, listeners: try? await sandbox.listeners(), port: sandbox.port, tag: tag,
                health: health)
            throw story.error
        }
    }

    private enum End: Sendable {
        case ready, deadline
        case exited(ExitStatus?)
    }

    private func probeUntilReady(
        _ sandbox: any Sandbox, health: Manifest.Health, nonce: String?, tag: String,
        _ onOutcome: (ProbeOutcome) -> Void
    ) async throws {
        var machine = ProbeStateMachine(
            successThreshold: health.successThreshold, failureThreshold: 1, initially: .failing)
        var spent = Duration.zero
        var refusedInterval = Self.refusedInterval
        var firstInterval = Self.refusedInterval
        while true {
            let outcome = await probe(sandbox, health: health, nonce: nonce, tag: tag)
            try Task.checkCancellation()
            onOutcome(outcome)
            if machine.handle(outcome) == .passing { return }
            if outcome == .refused {
                try await clock.sleep(for: refusedInterval)
                spent += refusedInterval
                refusedInterval = min(refusedInterval * 2, Self.maximumRefusedInterval)
            } else {
                // A twentieth of the time already spent: a slow start is not disturbed, and no start is seen late by more
                // than 5 %. Doubling would see an app that is ready after 0.8 s only at 1.55 s.
                // What answers already is about to be ready: the first waits grow up to the interval.
                let interval = min(
                    firstInterval, max(health.interval, min(spent / 20, Manifest.Health.maximumInterval)))
                try await clock.sleep(for: interval)
                spent += interval
                firstInterval = min(firstInterval * 2, Manifest.Health.maximumInterval)
            }
        }
    }

    private static func exitError(_ status: ExitStatus?, after last: ProbeOutcome?) -> BerthError {
        let how = status.map { "with \($0)" } ?? "in an unknown way"
        var message = "the app ended \(how) before it was ready"
        if let last, last != .refused { message += "; until then it \(last)" }
        let suggestion =
            status == .exited(code: 0)
            ? "start the server in the foreground: a process that ends is a failed one, exit code 0 included"
            : "read the app's last output, which names the cause"
        return BerthError(.startFailed, message, suggestion: suggestion)
    }
}

extension Manifest {
    /// The health settings with what our own templates are known to answer.
    var effectiveHealth: Health {
        var health = health
        if server.isRendered, health.expect == nil { health.expect = Health.renderedExpectation }
        return health
    }
}
