import Foundation

/// Threads for system calls that take their time, so that Swift's few threads never wait in the kernel.
enum Blocking {
    /// The most calls at once; further ones wait in line.
    static let maximumThreads = 16

    private static let queue: OperationQueue = {
        let queue = OperationQueue()
        queue.name = "berth.blocking"
        queue.maxConcurrentOperationCount = maximumThreads
        return queue
    }()

    /// Runs `body` on one of the threads and waits for it; cancellation does not interrupt it.
    static func run<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
        try await withCheckedThrowingContinuation { continuation in
            queue.addOperation { continuation.resume(with: Swift.Result { try body() }) }
        }
    }
}
