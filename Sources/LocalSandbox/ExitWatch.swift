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

    /// Returns when a descriptor can be read from, or false after `limit`.
    ///
    /// - Throws: `CancellationError`.
    static func wait(_ descriptor: Descriptor, limit: Duration) async throws -> Bool {
        try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask {
                try await wait(descriptor)
                return true
            }
            group.addTask {
                try await Task.sleep(for: limit)
                return false
            }
            defer { group.cancelAll() }
            return try await group.next() ?? false
        }
    }

    /// Dispatch sources are thread-safe, but not declared so.
    private struct SourceBox: @unchecked Sendable {
        let source: any DispatchSourceRead
        init(_ source: any DispatchSourceRead) { self.source = source }
    }
}
