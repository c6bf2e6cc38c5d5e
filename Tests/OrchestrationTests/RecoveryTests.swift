import BerthTestSupport
import ControlAPI
import DeploymentCore
import DeploymentStore
import Foundation
import Sandboxes
import Testing

@testable import Orchestration

@Suite struct RecoveryTests {
    @Test func restartAdoptsWhatServes() async throws {
        try await World.with { world in
            _ = try await world.verdict(try await world.submit().id)
            let next = try await world.restarted()
            #expect(world.provider.created == 1)
            #expect(try await next.get("/sum/health").revision?.hasPrefix("sum.1.") == true)
            #expect(try await next.service.deployment("sum").state == "serving")
            await next.close()
        }
    }

    @Test func restartStartsAgainWhatIsGone() async throws {
        try await World.with { world in
            _ = try await world.verdict(try await world.submit().id)
            let id = try #require(world.provider.live.first)
            await world.service.close()
            try await world.provider.destroy(id)
            let next = try await world.restarted()
            await next.service.tasksSettled { (try? await next.service.deployment("sum").state) == "serving" }
            #expect(try await next.get("/sum/health").status == 200)
            #expect(world.provider.created == 2)
            await next.close()
        }
    }

    @Test func restartRemovesSandboxesThatServeNothing() async throws {
        try await World.with { world in
            _ = try await world.verdict(try await world.submit().id)
            let specification = SandboxSpecificationFixture.orphan
            _ = try await world.provider.create(specification)
            #expect(world.provider.live.count == 2)
            let next = try await world.restarted()
            #expect(world.provider.live.count == 1)
            #expect(!world.provider.live.contains(specification.id))
            await next.close()
        }
    }

    @Test func rolloutThatWasCutIsInterruptedAndItsRevisionFails() async throws {
        try await World.with { world in
            let record = RolloutRecord(
                id: "rol_cut", deployment: "sum", revision: 0, kind: .deploy, startedAt: 1)
            _ = try world.workshop.store.beginRollout(record) { number in
                RevisionRecord(
                    deployment: "sum", number: number, nonce: "sum.1.x", manifest: "{}", lock: "", createdAt: 1)
            }
            let next = try await world.restarted()
            #expect(try await next.service.rollout("rol_cut").status == "interrupted")
            #expect(try await next.service.revisions(of: "sum").map(\.status) == ["failed"])
            #expect(try await next.verdict(try await next.submit().id).status == "promoted")
            await next.close()
        }
    }
}
