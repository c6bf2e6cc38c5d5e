import BerthTestSupport
import DeploymentCore
import Testing

@testable import Waiting

@Suite struct ExpiryWheelTests {
    private let clock = TestClock()

    /// Runs `body` beside a wheel, whose wall clock is the test's clock, or else `time`.
    private func turning(
        _ time: Locked<Int64>? = nil, _ carryOut: @escaping @Sendable (String) async throws -> Void,
        _ body: (ExpiryWheel) async -> Void
    ) async {
        let clock = clock
        let wheel = ExpiryWheel(clock: clock) {
            time.map { $0.withLock { $0 } } ?? Int64(clock.now.offset.milliseconds)
        }
        let turning = Task { await wheel.run(carryOut) }
        await body(wheel)
        turning.cancel()
        await turning.value
    }

    /// Waits until the wheel waits for so long.
    private func awaitPending(_ wait: Duration) async {
        while clock.pending != [wait] { await Task.yield() }
    }

    @Test func eachIsCarriedOutAtItsTimeAndOnce() async {
        let (done, log) = AsyncStream<String>.makeStream()
        await turning {
            log.yield($0)
        } _: { wheel in
            var ends = done.makeAsyncIterator()
            wheel.set("late", at: 20_000)
            wheel.set("early", at: 10_000)
            wheel.set("never", at: 15_000)
            wheel.set("never", at: nil)
            wheel.set("past", at: -5)
            #expect(await ends.next() == "past")
            await awaitPending(.seconds(10))
            clock.advance(by: .seconds(10))
            #expect(await ends.next() == "early")
            await awaitPending(.seconds(10))
            clock.advance(by: .seconds(10))
            #expect(await ends.next() == "late")
            while clock.pending != [] || wheel.time(of: "late") != nil { await Task.yield() }
        }
    }

    @Test func movedTimesCount() async {
        let (done, log) = AsyncStream<String>.makeStream()
        await turning {
            log.yield($0)
        } _: { wheel in
            wheel.set("sooner", at: 50_000)
            await awaitPending(.seconds(50))
            wheel.set("sooner", at: 5_000)
            await awaitPending(.seconds(5))
            wheel.set("later", at: 6_000)
            wheel.set("later", at: 30_000)
            clock.advance(by: .seconds(6))
            var ends = done.makeAsyncIterator()
            #expect(await ends.next() == "sooner")
            await awaitPending(.seconds(24))
            #expect(wheel.time(of: "later") == 30_000)
            #expect(wheel.time(of: "sooner") == nil)
        }
    }

    @Test func failureIsTriedAgainLaterEachTime() async {
        let attempts = Locked(0)
        await turning { _ in
            let attempt = attempts.withLock { attempts in
                attempts += 1
                return attempts
            }
            if attempt <= 8 { throw BerthError(.sandbox, "scripted") }
        } _: { wheel in
            wheel.set("sum", at: 0)
            for wait in [1, 2, 4, 8, 16, 32, 60, 60] {
                await awaitPending(.seconds(wait))
                clock.advance(by: .seconds(wait))
            }
            while wheel.time(of: "sum") != nil { await Task.yield() }
            #expect(attempts.withLock { $0 } == 9)
        }
    }

    @Test func oneThatHangsHoldsUpNoOther() async {
        let (done, log) = AsyncStream<String>.makeStream()
        await turning { key in
            if key == "stuck" { try await Task.sleep(for: .seconds(3_600)) }
            log.yield(key)
        } _: { wheel in
            wheel.set("stuck", at: 0)
            wheel.set("free", at: 1_000)
            await awaitPending(.seconds(1))
            clock.advance(by: .seconds(1))
            var ends = done.makeAsyncIterator()
            #expect(await ends.next() == "free")
        }
    }

    @Test func oneThatIsMovedWhileItIsCarriedOutKeepsItsNewTime() async {
        let gate = Promise<Bool>()
        let (done, log) = AsyncStream<String>.makeStream()
        await turning { key in
            log.yield(key)
            _ = await gate.wait()
        } _: { wheel in
            var ends = done.makeAsyncIterator()
            wheel.set("sum", at: 0)
            #expect(await ends.next() == "sum")
            wheel.set("sum", at: 7_000)
            gate.fulfil(true)
            await awaitPending(.seconds(7))
            clock.advance(by: .seconds(7))
            #expect(await ends.next() == "sum")
        }
    }

    @Test func wallClockThatIsSetIsNoticedWithinAMinute() async {
        let time = Locked<Int64>(0)
        let (done, log) = AsyncStream<String>.makeStream()
        await turning(time) {
            log.yield($0)
        } _: { wheel in
            wheel.set("sum", at: 7_200_000)
            await awaitPending(ExpiryWheel.longestWait)
            time.withLock { $0 = 7_200_000 }
            clock.advance(by: ExpiryWheel.longestWait)
            var ends = done.makeAsyncIterator()
            #expect(await ends.next() == "sum")
        }
    }
}
