import BerthTestSupport
import DeploymentCore
import Gateway
import Sandboxes
import Testing

@testable import Orchestration

@Suite struct WakeQueueTests {
    private let clock = TestClock()

    private func waiters(_ count: Int, _ queue: WakeQueue) -> [Task<Void, any Error>] {
        (0..<count).map { _ in Task { _ = try await queue.enter() } }
    }

    private func reason(of task: Task<Void, any Error>) async -> RouteUnavailable? {
        do {
            try await task.value
            return nil
        } catch {
            return error as? RouteUnavailable
        }
    }

    @Test func oneMoreThanFitIsRefusedAtOnce() async throws {
        let queue = WakeQueue(name: "sum", clock: clock)
        let waiting = waiters(WakeQueue.maximumWaiting, queue)
        await clock.awaitSleepers(WakeQueue.maximumWaiting)
        let error = await #expect(throws: RouteUnavailable.self) { _ = try await queue.enter() }
        #expect(error?.kind == "wake-queue-full")
        #expect(queue.waiting == WakeQueue.maximumWaiting)
        for task in waiting { task.cancel() }
        for task in waiting { #expect(await reason(of: task) == nil) }
        #expect(queue.waiting == 0)
    }

    @Test func requestWaitsNoLongerThanItsDeadline() async throws {
        let queue = WakeQueue(name: "sum", clock: clock)
        let waiting = waiters(1, queue)[0]
        await clock.awaitSleepers()
        #expect(await queue.isAsked())
        clock.advance(by: WakeQueue.deadline)
        #expect(await reason(of: waiting)?.kind == "wake-timeout")
        #expect(queue.waiting == 0)
    }

    @Test func failureIsToldToAllAndUntilItIsOpenedAgain() async throws {
        let queue = WakeQueue(name: "sum", clock: clock)
        let waiting = waiters(3, queue)
        await clock.awaitSleepers(3)
        let failure = RouteUnavailable(kind: "wake-failed", detail: "why", retryAfter: 4)
        queue.refuse(failure)
        for task in waiting { #expect(await reason(of: task) == failure) }
        #expect(await reason(of: waiters(1, queue)[0]) == failure)
        queue.open()
        let next = waiters(1, queue)[0]
        #expect(await queue.isAsked())
        next.cancel()
        #expect(await next.result.isFailure)
    }

    @Test func nobodyAskedMeansNobodyWakes() async throws {
        let queue = WakeQueue(name: "sum", clock: clock)
        let asking = Task { await queue.isAsked() }
        asking.cancel()
        #expect(await asking.value == false)
    }
}

extension Result {
    fileprivate var isFailure: Bool { if case .failure = self { true } else { false } }
}
