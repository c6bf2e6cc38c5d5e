import DeploymentCore
import Gateway
import Sandboxes
import Waiting

/// The requests that wait for a sleeping deployment to wake up. The first one asks for the waking, all learn its outcome.
final class WakeQueue: Sendable {
    /// The most requests that wait at once; one more is refused.
    static let maximumWaiting = 256
    /// The longest that a request waits; the waking goes on without it.
    static let deadline = Duration.seconds(30)

    private typealias Outcome = Result<any Sandbox, RouteUnavailable>

    private struct State {
        var asked = Promise<Bool>()
        var outcome = Promise<Outcome>()
        var waiting = 0
        /// What those who come now are told instead of waiting.
        var refusal: RouteUnavailable?
    }

    private let name: String
    private let clock: any Clock<Duration>
    private let state = Locked(State())

    init(name: String, clock: any Clock<Duration>) {
        self.name = name
        self.clock = clock
    }

    /// How many requests wait.
    var waiting: Int { state.withLock(\.waiting) }

    /// Whether those who come now are refused, since a waking failed a moment ago.
    var isRefusing: Bool { state.withLock { $0.refusal != nil } }

    /// Asks for the waking, and waits for the sandbox that serves then.
    ///
    /// - Throws: `RouteUnavailable` when it does not come, `CancellationError` when the client has left.
    func enter() async throws -> any Sandbox {
        let (asked, outcome) = try state.withLock { state throws(RouteUnavailable) in
            if let refusal = state.refusal { throw refusal }
            // What has an outcome already has no queue.
            if state.outcome.current == nil, state.waiting >= Self.maximumWaiting {
                throw RouteUnavailable(
                    kind: "wake-queue-full", detail: "\(Self.maximumWaiting) requests wait for \(name) to wake up")
            }
            state.waiting += 1
            return (state.asked, state.outcome)
        }
        defer { state.withLock { $0.waiting -= 1 } }
        asked.fulfil(true)
        do {
            return try await withDeadline(
                Self.deadline, clock: clock,
                BerthError(.timeout, "\(self.name) did not wake up within \(Self.deadline)")
            ) {
                guard let outcome = await outcome.wait() else { throw CancellationError() }
                return try outcome.get()
            }
        } catch let error as BerthError {
            throw RouteUnavailable(kind: "wake-timeout", detail: error.message)
        }
    }

    /// Waits until somebody asks; false when the waiting task was cancelled first.
    func isAsked() async -> Bool { await state.withLock(\.asked).wait() ?? false }

    /// Tells all, now and later, that it is awake.
    func succeed(_ sandbox: any Sandbox) { state.withLock(\.outcome).fulfil(.success(sandbox)) }

    /// Tells those who wait, and those who come until `open()`, why it is not awake.
    func refuse(_ reason: RouteUnavailable) {
        let outcome = state.withLock { state in
            defer {
                state.refusal = reason
                state.outcome = Promise()
                state.asked = Promise()
            }
            return state.outcome
        }
        outcome.fulfil(.failure(reason))
    }

    /// Lets the next one who comes ask again.
    func open() { state.withLock { $0.refusal = nil } }
}
