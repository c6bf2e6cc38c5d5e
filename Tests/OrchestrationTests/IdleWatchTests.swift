import BerthTestSupport
import ControlAPI
import DeploymentCore
import Foundation
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
            _ = try await world.verdict(try await world.submit(World.patient + "\nidle: {\(idle)}").id)
            try await body(world, clock)
        }
    }

    /// Moves the clock to the next look, or past a probe of the health: whoever sleeps first. Never more than one look.
    private func look(_ clock: TestClock) async {
        await clock.awaitSleepers()
        clock.advance(by: IdleWatch.interval)
    }

    @Test func looksAtTheHealthDoNotKeepItAwakeAndPredictionsDo() async throws {
        try await watched("stop_after: 10s") { (world, clock) async throws -> Void in
            // A prediction before each look: it never was idle.
            for _ in 0..<10 {
                #expect(try await world.get("/sum/predict").status == 200)
                await look(clock)
            }
            #expect(try await world.state() == "serving")
            var looks = 0
            while try await world.state() == "serving" {
                try #require(looks < 10_000)
                #expect(try await world.get("/sum/health").status == 200)
                await look(clock)
                looks += 1
            }
            #expect(looks >= 5)
            await world.service.tasksSettled { (try? await world.state()) == "asleep" }
            #expect(try world.lifecycle() == ["asleep"])
            await world.service.tasksSettled { world.provider.live.isEmpty }
        }
    }

    @Test func withoutALimitItServesForEver() async throws {
        try await watched("pause_after: 24h") { (world, clock) async throws -> Void in
            for _ in 0..<20 { await look(clock) }
            #expect(try await world.state() == "serving")
            #expect(world.provider.created == 1)
        }
    }
}
