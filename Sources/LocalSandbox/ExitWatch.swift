import DeploymentCore
import Dispatch
import Glibc

/// Waits for the end of a process without a thread of its own.
enum ExitWatch {
    private static let queue = DispatchQueue(label: "berth.exit-watch")

    /// Returns when the process behind `pidfd` has ended.
    ///
    /// - Throws: `CancellationError`.
    static func wait(_ pidfd: Descriptor) async throws {
        let source = DispatchSource.makeReadSource(fileDescriptor: pidfd.number, queue: queue)
        let box = SourceBox(source)
        let waiter = Locked<CheckedContinuation<Void, any Error>?>(nil)
        let take = { @Sendable () -> CheckedContinuation<Void, any Error>? in
            waiter.withLock { slot in
                defer { slot = nil }
                return slot
            }
        }
        source.setEventHandler { take()?.resume() }
        // The descriptor lives until the source is done with it.
        source.setCancelHandler { withExtendedLifetime(pidfd) {} }
        defer { source.cancel() }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                waiter.withLock { $0 = continuation }
                box.source.activate()
                if Task.isCancelled { take()?.resume(throwing: CancellationError()) }
            }
        } onCancel: {
            take()?.resume(throwing: CancellationError())
        }
    }

    /// Dispatch sources are thread-safe, but not declared so.
    private struct SourceBox: @unchecked Sendable {
        let source: any DispatchSourceRead
        init(_ source: any DispatchSourceRead) { self.source = source }
    }
}
