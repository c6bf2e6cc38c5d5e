import BerthTestSupport
import ControlAPI
import DeploymentCore
import Foundation
import Sandboxes
import Testing

@testable import Orchestration

@Suite struct StatisticsSamplerTests {
    @Test func logTellsOnceThatAnAppWasHeldBack() async throws {
        let clock = TestClock()
        try await World.with(clock) { world in
            let directory = SandboxDirectory(service: world.service)
            let pauses = Pauses(service: world.service, directory: directory)
            let sampler = StatisticsSampler(service: world.service, directory: directory, pauses: pauses)
            let running = Task { await sampler.run() }
            defer { running.cancel() }
            _ = try await world.verdict(try await world.submit(World.patient).id)
            let sandbox = try #require(world.provider.live.first.flatMap { world.provider.sandbox($0) })
            let lines = {
                let log = (try? String(contentsOfFile: world.workshop.logs.file("sum", 1), encoding: .utf8)) ?? ""
                return log.split(separator: "\n").filter { $0.contains("berth held back for a while") }.count
            }
            #expect(lines() == 0)
            for times in 1...2 {
                sandbox.usage.withLock { $0.holdBacks = times }
                while lines() < times { await goOn(clock) }
                for _ in 0..<30 { await goOn(clock) }
                #expect(lines() == times)
            }
        }
    }

    /// Lets the clock go on by a tenth of the time between two samples.
    private func goOn(_ clock: TestClock) async {
        await clock.awaitSleepers()
        clock.advance(by: StatisticsSampler.interval / 10)
    }
}
