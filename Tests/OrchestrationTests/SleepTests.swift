import BerthTestSupport
import ControlAPI
import DeploymentCore
import DeploymentStore
import Gateway
import Glibc
import Sandboxes
import Testing

@testable import Orchestration

@Suite struct SleepTests {
    /// Runs `body` with a deployment that sleeps, and none of its sandboxes left.
    private func asleep(_ clock: TestClock? = nil, _ body: (World) async throws -> Void) async throws {
        try await World.with(clock) { world in
            _ = try await world.verdict(try await world.submit().id)
            try await world.putToSleep()
            await world.service.tasksSettled { world.provider.live.isEmpty }
            try await body(world)
        }
    }

    @Test func requestWakesAndALookAtTheHealthDoesNot() async throws {
        try await asleep { world in
            let sleeping = try await world.service.deployment("sum")
            #expect(sleeping.state == "asleep")
            #expect(sleeping.sandbox == nil)
            #expect(sleeping.asleepSince != nil)
            let health = try await world.get("/sum/health")
            #expect(health.status == 200)
            #expect(health.body == #"{"model_loaded":false,"status":"asleep"}"#)
            #expect(health.revision?.hasPrefix("sum.1.") == true)
            #expect(try await world.state() == "asleep")
            #expect(world.provider.created == 1)

            let answer = try await world.get("/sum/predict")
            #expect(answer.status == 200)
            #expect(answer.revision?.hasPrefix("sum.1.") == true)
            let awake = try await world.service.deployment("sum")
            #expect(awake.state == "serving")
            #expect(awake.asleepSince == nil)
            #expect(awake.restarts == 0)
            #expect(try await world.get("/sum/health").body.contains("healthy"))
            #expect(try world.lifecycle() == ["asleep", "woken"])
        }
    }

    @Test func fiftyRequestsAtOnceStartOneReplica() async throws {
        try await asleep { world in
            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<50 { group.addTask { try await world.get("/sum/predict").status } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(statuses == Array(repeating: 200, count: 50))
            #expect(world.provider.created == 2)
            #expect(world.provider.live.count == 1)
            #expect(try world.lifecycle() == ["asleep", "woken"])
        }
    }

    @Test(arguments: Effect.allCases, Fault.allCases)
    func everyFaultOfAWakingIsToldAndTheNextRequestTriesAgain(_ effect: Effect, _ fault: Fault) async throws {
        let clock = TestClock()
        try await asleep(clock) { world in
            world.provider.set(effect, fault)
            let answer = try await world.answer("/sum/predict") {
                if fault == .hangs { clock.advance(by: .seconds(10)) }
            }
            #expect(answer.status == 503)
            #expect(answer.body.contains("urn:berth:problem:wake-"))
            #expect(answer.body.contains(fault == .hangs ? "within" : "scripted failure of \(effect.rawValue)"))
            // A stage with a longer deadline than the request's ends later.
            await world.service.tasksSettled {
                clock.advance(by: .seconds(10))
                return (try? world.lifecycle().contains("wake_failed")) ?? false
            }
            #expect(world.provider.live.isEmpty)

            world.provider.heal()
            var again = try await world.get("/sum/predict")
            while again.status == 503 {
                #expect(again.body.contains("wake-failed"))
                clock.advance(by: .seconds(1))
                again = try await world.get("/sum/predict")
            }
            #expect(again.status == 200)
            #expect(world.provider.live.count == 1)
            #expect(try world.lifecycle().last == "woken")
        }
    }

    @Test func failuresOfWakingsWaitLongerEachTime() async throws {
        let clock = TestClock()
        try await asleep(clock) { world in
            world.provider.set(.start, .failsBefore)
            for wait in [1, 2, 4] {
                #expect(try await world.get("/sum/predict").status == 503)
                let deployment = try await world.service.deployment("sum")
                #expect(deployment.state == "asleep")
                #expect(deployment.reason == "the last waking failed: scripted failure of start")
                // Until then nobody tries.
                let created = world.provider.created
                let refused = try await world.get("/sum/predict")
                #expect(refused.status == 503)
                #expect(refused.retryAfter == "\(wait)")
                #expect(world.provider.created == created)
                await clock.awaitSleepers()
                #expect(clock.pending.contains(.seconds(wait)))
                clock.advance(by: .seconds(wait))
                await world.service.tasksSettled { await world.isOpen }
            }
        }
    }

    @Test(arguments: Fault.allCases)
    func sandboxThatIsHardToRemoveKeepsNobodyAwake(_ fault: Fault) async throws {
        let clock = TestClock()
        try await World.with(clock) { world in
            _ = try await world.verdict(try await world.submit().id)
            world.provider.setDestroy(fault)
            try await world.putToSleep()
            #expect(try await world.state() == "asleep")
            if fault == .hangs {
                await world.provider.hanging.wait()
            } else {
                world.provider.heal()
                await world.service.tasksSettled {
                    clock.advance(by: .seconds(1))
                    return world.provider.live.isEmpty
                }
            }
            #expect(try await world.get("/sum/predict").status == 200)
            #expect(try await world.state() == "serving")
            #expect(world.provider.live.count == (fault == .hangs ? 2 : 1))
        }
    }

    @Test func deploymentInUseStaysAwake() async throws {
        try await World.with { world in
            _ = try await world.verdict(try await world.submit().id)
            let uses = try #require(world.gateway.statistics("sum")).uses
            #expect(try await world.get("/sum/predict").status == 200)
            let missed = await #expect(throws: BerthError.self) {
                try await world.service.putToSleep("sum", uses: uses, previous: nil)
            }
            #expect(missed?.code == .conflict)

            // A request whose body has not come yet.
            let socket = try Loopback.connect(world.workshop.gatewayPort)
            defer { close(socket) }
            let head = "POST /sum/predict HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nConnection: close\r\n\r\n"
            #expect(send(socket, head, head.utf8.count, 0) == head.utf8.count)
            await world.service.tasksSettled { world.gateway.statistics("sum")?.usesInFlight == 1 }
            let now = try #require(world.gateway.statistics("sum")).uses
            let busy = await #expect(throws: BerthError.self) {
                try await world.service.putToSleep("sum", uses: now, previous: nil)
            }
            #expect(busy?.message.contains("somebody asks") == true)
            #expect(send(socket, "{}", 2, 0) == 2)
            #expect(read(socket).hasPrefix("HTTP/1.1 200"))
            #expect(try await world.state() == "serving")
            #expect(world.provider.created == 1)
            #expect(try world.lifecycle() == [])
        }
    }

    /// Everything until the other side closes.
    private func read(_ socket: Int32) -> String {
        var bytes: [UInt8] = []
        var part = [UInt8](repeating: 0, count: 4_096)
        while true {
            let count = recv(socket, &part, part.count, 0)
            guard count > 0 else { return String(decoding: bytes, as: UTF8.self) }
            bytes += part[..<count]
        }
    }

    @Test func redeployOfASleepingDeploymentTakesThoseWhoWaitAlong() async throws {
        try await asleep { world in
            world.provider.set(.create, .hangs)
            let waiting = Task { try await world.get("/sum/predict") }
            await world.provider.hanging.wait()
            #expect(try await world.state() == "waking")
            world.provider.heal()
            #expect(try await world.verdict(try await world.submit().id).status == "promoted")
            let answer = try await waiting.value
            #expect(answer.status == 200)
            #expect(answer.revision?.hasPrefix("sum.2.") == true)
            #expect(try await world.service.deployment("sum").asleepSince == nil)
            #expect(world.provider.live.count == 1)

            // And one that nobody waits for.
            try await world.putToSleep()
            let back = try await world.verdict(try await world.service.rollBack("sum", to: nil).id)
            #expect(back.status == "promoted")
            #expect(try await world.state() == "serving")
        }
    }

    @Test(arguments: [false, true])
    func destroyOfASleepingDeploymentLeavesNothing(_ isWaking: Bool) async throws {
        try await asleep { world in
            var waiting: Task<Int, any Error>?
            if isWaking {
                world.provider.set(.create, .hangs)
                waiting = Task { try await world.get("/sum/predict").status }
                await world.provider.hanging.wait()
            }
            try await world.service.destroy("sum")
            if let waiting {
                let status = try await waiting.value
                #expect([404, 503].contains(status))
            }
            #expect(world.provider.live.isEmpty)
            #expect(try await world.get("/sum/predict").status == 404)
            #expect(try world.lifecycle().last == "destroyed")
        }
    }

    @Test func sleepingDeploymentStaysAsleepUnderTheNextControlPlane() async throws {
        try await World.with { world in
            _ = try await world.verdict(try await world.submit().id)
            // The first control plane ends before it could remove the sandbox.
            world.provider.setDestroy(.failsBefore)
            try await world.putToSleep()
            #expect(world.provider.live.count == 1)
            world.provider.heal()
            let next = try await world.restarted()
            #expect(try await next.state() == "asleep")
            #expect(next.provider.live.isEmpty)
            #expect(try await next.get("/sum/health").body.contains("asleep"))
            #expect(try await next.get("/sum/predict").status == 200)
            #expect(try await next.state() == "serving")
            #expect(next.provider.created == 2)
            // Awake is awake, too.
            let third = try await next.restarted()
            #expect(try await third.state() == "serving")
            #expect(third.provider.created == 2)
            await next.close()
            await third.close()
        }
    }

    @Test func stopOfTheControlPlaneEndsAWaking() async throws {
        try await asleep { world in
            world.provider.set(.create, .hangs)
            let waiting = Task { try await world.get("/sum/predict") }
            await world.provider.hanging.wait()
            await world.service.close()
            let answer = try await waiting.value
            #expect(answer.status == 503)
            #expect(answer.body.contains("not-woken"))
            #expect(world.provider.live.isEmpty)
            #expect(try world.workshop.store.deployment("sum")?.asleepSince != nil)
        }
    }

    @Test func resumeWakesAndSaysWhyItCannot() async throws {
        let clock = TestClock()
        try await asleep(clock) { world in
            world.provider.set(.start, .failsBefore)
            let error = await #expect(throws: BerthError.self) { try await world.service.wakeUp("sum") }
            #expect(error?.code == .unreachable)
            #expect(error?.message.contains("scripted failure of start") == true)
            #expect(error?.suggestion == "try again in 1 s")
            world.provider.heal()
            await clock.awaitSleepers()
            clock.advance(by: .seconds(1))
            await world.service.tasksSettled { await world.isOpen }
            try await world.service.wakeUp("sum")
            #expect(try await world.state() == "serving")
            // Again is no error.
            try await world.service.wakeUp("sum")
        }
    }

    @Test func limitThatWasExceededIsTheReasonOfARestartThatYields() async throws {
        try await World.with { world in
            _ = try await world.verdict(try await world.submit().id)
            let first = try #require(world.provider.live.first)
            let limit = ExceededLimit(resource: .memory, description: "over its memory limit of 64 MiB")
            world.provider.set(limits: [limit])
            world.provider.set(.create, .hangs)
            world.provider.sandbox(first)?.end(.signalled(9))
            await world.provider.hanging.wait()
            let deployment = try await world.service.deployment("sum")
            #expect(deployment.state == "restarting")
            #expect(deployment.reason?.hasSuffix("(over its memory limit of 64 MiB)") == true)
            #expect(world.provider.yielding == [false, true])
        }
    }
}

extension World {
    /// Whether the next request may ask for a waking again.
    fileprivate var isOpen: Bool {
        get async { await service.supervisors["sum"]?.status.withLock(\.queue)?.isRefusing == false }
    }

    /// The answer to a request, with `step` done again and again until it is there.
    fileprivate func answer(
        _ path: String, while step: () -> Void
    ) async throws -> (status: Int, revision: String?, body: String, retryAfter: String?) {
        let arrived = Locked(false)
        let asking = Task {
            defer { arrived.withLock { $0 = true } }
            return try await get(path)
        }
        await service.tasksSettled {
            step()
            return arrived.withLock { $0 }
        }
        return try await asking.value
    }
}
