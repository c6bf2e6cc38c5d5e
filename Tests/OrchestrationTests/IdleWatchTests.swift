import BerthTestSupport
import ControlAPI
import DeploymentCore
import Testing

@testable import Orchestration

@Suite struct IdleWatchTests {
    /// Runs `body` with a deployment that may be idle for so long, while somebody looks.
    private func watched(_ idle: String, _ body: (World, TestClock) async throws -> Void) async throws {
        let clock = TestClock()
        try await World.with(clock) { world in
            let pauses = Pauses(service: world.service, directory: SandboxDirectory(service: world.service))
            let watch = Task { await IdleWatch(service: world.service, pauses: pauses).run() }
            defer { watch.cancel() }
            _ = try await world.verdict(try await world.submit(World.manifest + "\nidle: {\(idle)}").id)
            try await body(world, clock)
        }
    }

    /// Lets so many looks pass, with `between` before each; those who sleep on the clock are the watch and the liveness.
    private func looks(_ count: Int, _ clock: TestClock, _ between: () async throws -> Void = {}) async throws {
        for _ in 0..<count {
            try await between()
            await clock.awaitSleepers(2)
            clock.advance(by: IdleWatch.interval)
        }
        await clock.awaitSleepers(2)
    }

    @Test func looksAtTheHealthDoNotKeepItAwakeAndPredictionsDo() async throws {
        try await watched("stop_after: 10s") { world, clock in
            // A prediction before each look: it never was idle.
            try await looks(10, clock) { () async throws -> Void in
                #expect(try await world.get("/sum/predict").status == 200)
            }
            #expect(try await world.state() == "serving")
            // The last prediction was seen by the last look; five more make ten seconds.
            try await looks(4, clock) { () async throws -> Void in
                #expect(try await world.get("/sum/health").status == 200)
            }
            #expect(try await world.state() == "serving")
            clock.advance(by: IdleWatch.interval)
            await world.service.tasksSettled { (try? await world.state()) == "asleep" }
            #expect(try world.lifecycle() == ["asleep"])
            await world.service.tasksSettled { world.provider.live.isEmpty }
        }
    }

    @Test func withoutALimitItServesForEver() async throws {
        try await watched("pause_after: 24h") { world, clock in
            try await looks(20, clock)
            #expect(try await world.state() == "serving")
            #expect(world.provider.created == 1)
        }
    }
}
