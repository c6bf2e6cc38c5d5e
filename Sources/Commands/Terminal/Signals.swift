import DeploymentCore
import Dispatch
import Foundation

/// Some signals as a stream, from its creation until `end()`.
final class Signals: Sendable {
    /// The most signals that wait to be looked at; more of them say nothing new.
    static let maximumPending = 16
    /// What a user and a supervisor of services end programs with.
    static let ending = [SIGINT, SIGTERM]

    let stream: AsyncStream<Int32>
    private let sources: Locked<[any DispatchSourceSignal]>
    private let numbers: [Int32]

    /// - Parameter isSecondFinal: whether a second signal ends the program at once, as if nobody caught it.
    init(_ numbers: [Int32] = Signals.ending, isSecondFinal: Bool = false) {
        let (stream, continuation) = AsyncStream<Int32>.makeStream(
            bufferingPolicy: .bufferingOldest(Self.maximumPending))
        self.stream = stream
        self.numbers = numbers
        let hasCome = Locked(false)
        // One that comes before a source is registered would be lost.
        let registered = DispatchGroup()
        sources = Locked(
            numbers.map { number in
                signal(number, SIG_IGN)
                let source = DispatchSource.makeSignalSource(signal: number)
                source.setEventHandler {
                    let isSecond = hasCome.withLock { hasCome in
                        defer { hasCome = true }
                        return hasCome
                    }
                    if isSecond, isSecondFinal {
                        signal(number, SIG_DFL)
                        kill(getpid(), number)
                    }
                    continuation.yield(number)
                }
                registered.enter()
                source.setRegistrationHandler { registered.leave() }
                source.resume()
                return source
            })
        registered.wait()
    }

    /// Returns at the first signal, or when the waiting task is cancelled.
    func wait() async {
        for await _ in stream { return }
    }

    /// Gives the signals back their usual meaning.
    func end() {
        sources.withLock { $0.forEach { $0.cancel() } }
        for number in numbers { signal(number, SIG_DFL) }
    }

    /// Runs `body`, which Ctrl-C and SIGTERM cancel, and waits for its end.
    static func cancelling<Result: Sendable>(
        _ body: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        let signals = Signals()
        defer { signals.end() }
        return try await withThrowingTaskGroup(of: Result.self) { group in
            group.addTask(operation: body)
            group.addTask {
                await signals.wait()
                throw CancellationError()
            }
            defer { group.cancelAll() }
            guard let result = try await group.next() else { throw CancellationError() }
            return result
        }
    }
}
