import NIOCore

/// One deadline on an event loop that is moved far more often than it passes. Touched on that loop only, hence
/// unchecked.
final class LoopTimer: @unchecked Sendable {
    private let loop: any EventLoop
    private let passed: () -> Void
    private var due: NIODeadline?
    private var scheduled: (at: NIODeadline, task: Scheduled<Void>)?

    /// Creates a timer without a deadline; `passed` must not keep the timer's owner.
    init(loop: any EventLoop, passed: @escaping () -> Void) {
        self.loop = loop
        self.passed = passed
    }

    deinit { scheduled?.task.cancel() }

    /// Sets the deadline, moving an earlier one.
    func set(_ duration: Duration) {
        let due = NIODeadline.now() + TimeAmount(duration)
        self.due = due
        // One that wakes up too early looks again.
        if let scheduled, scheduled.at <= due { return }
        schedule(due)
    }

    /// Takes the deadline away.
    func cancel() {
        due = nil
        scheduled?.task.cancel()
        scheduled = nil
    }

    private func schedule(_ due: NIODeadline) {
        scheduled?.task.cancel()
        scheduled = (due, loop.scheduleTask(deadline: due) { [weak self] in self?.wake() })
    }

    private func wake() {
        scheduled = nil
        guard let due else { return }
        if NIODeadline.now() < due {
            schedule(due)
        } else {
            self.due = nil
            passed()
        }
    }
}
