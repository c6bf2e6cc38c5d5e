import BerthTestSupport
import ControlAPI
import DeploymentCore
import DeploymentStore
import Foundation
import Testing

@testable import Orchestration

@Suite struct RolloutTests {
    @Test func deployMovesTrafficOnlyAfterEveryStage() async throws {
        try await World.with { world in
            #expect(try await world.get("/sum/health").status == 404)
            let rollout = try await world.verdict(try await world.submit().id)
            #expect(rollout.status == "promoted")
            #expect(rollout.failure == nil)
            #expect(rollout.smoke.map(\.passed) == [true])
            let answer = try await world.get("/sum/health")
            #expect(answer.status == 200)
            #expect(answer.revision?.hasPrefix("sum.1.") == true)
            #expect(try await world.service.deployment("sum").state == "serving")
        }
    }

    @Test func eventsTellEveryStageInOrder() async throws {
        try await World.with { world in
            let id = try await world.submit().id
            _ = try await world.verdict(id)
            let events = try world.service.events(of: id, after: 0)
            let decoder = JSONDecoder()
            let stages = try events.compactMap { record -> RolloutStage? in
                guard
                    case .stageStarted(let stage) = try decoder.decode(RolloutEvent.self, from: Data(record.data.utf8))
                else { return nil }
                return stage
            }
            #expect(stages == RolloutStage.allCases)
            #expect(events.map { $0.id ?? 0 } == events.map { $0.id ?? 0 }.sorted())
        }
    }

    @Test func secondDeployReplacesTheFirstAndRemovesItsSandbox() async throws {
        try await World.with { world in
            _ = try await world.verdict(try await world.submit().id)
            let first = try #require(world.provider.live.first)
            let rollout = try await world.verdict(try await world.submit().id)
            #expect(rollout.revision == 2)
            #expect(try await world.get("/sum/health").revision?.hasPrefix("sum.2.") == true)
            await world.service.tasksSettled { world.provider.live.count == 1 }
            #expect(!world.provider.live.contains(first))
        }
    }

    @Test(arguments: Effect.allCases, Fault.allCases)
    func everyFaultOfEveryEffectIsUndone(_ effect: Effect, _ fault: Fault) async throws {
        try await World.with { world in
            _ = try await world.verdict(try await world.submit().id)
            let serving = world.provider.live
            world.provider.set(effect, fault)
            let id = try await world.submit().id
            if fault == .hangs {
                await world.provider.hanging.wait()
                _ = try await world.service.cancel(id)
            }
            let rollout = try await world.verdict(id)
            #expect(rollout.status == (fault == .hangs ? "cancelled" : "failed"))
            #expect(world.provider.live == serving)
            #expect(try await world.get("/sum/health").revision?.hasPrefix("sum.1.") == true)
            let problem = try #require(rollout.failure)
            #expect(fault == .hangs ? problem.code == .interrupted : problem.title.contains(effect.rawValue))
            #expect(try world.workshop.store.journal(of: id).filter { $0.state == .intended }.isEmpty)
            world.provider.heal()
            #expect(try await world.verdict(try await world.submit().id).status == "promoted")
        }
    }

    @Test func wrongSmokeValueKeepsTheOldRevision() async throws {
        try await World.with { world in
            _ = try await world.verdict(try await world.submit().id)
            world.provider.set(prediction: #"{"success":true,"prediction":[3.1]}"#)
            let rollout = try await world.verdict(try await world.submit().id)
            #expect(rollout.failure?.code == .smokeFailed)
            #expect(rollout.smoke.first?.failures.first?.contains("3.1") == true)
            #expect(try await world.get("/sum/health").revision?.hasPrefix("sum.1.") == true)
        }
    }

    @Test func firstDeployThatFailsLeavesNothingReachable() async throws {
        try await World.with { world in
            world.provider.set(prediction: #"{"success":false}"#)
            let rollout = try await world.verdict(try await world.submit().id)
            #expect(rollout.status == "failed")
            #expect(world.provider.live.isEmpty)
            #expect(try await world.get("/sum/predict").status == 404)
            #expect(try await world.service.deployment("sum").state == "inactive")
        }
    }

    @Test func healthThatSaysTheModelIsNotLoadedIsNotHealth() async throws {
        try await World.with { world in
            world.provider.set(health: #"{"status":"healthy","model_loaded":false}"#)
            let manifest = World.manifest.replacing("10s", with: "1s")
            let rollout = try await world.verdict(try await world.submit(manifest).id)
            #expect(rollout.failure?.code == .notHealthy)
            #expect(rollout.stage == .health)
            #expect(world.provider.live.isEmpty)
        }
    }

    @Test func twoDeploysOfOneNameAtOnceAreRefusedWithTheWayOut() async throws {
        try await World.with { world in
            world.provider.set(.create, .hangs)
            let first = try await world.submit().id
            await world.provider.hanging.wait()
            let error = await #expect(throws: BerthError.self) { try await world.submit() }
            #expect(error?.code == .conflict)
            #expect(error?.message.contains("stage sandbox") == true)
            #expect(error?.suggestion?.contains("berth cancel sum") == true)
            let body = try await world.get("/sum/predict")
            #expect(body.status == 404)
            #expect(body.body.contains("sandbox"))
            #expect(try await world.service.cancel(first).status == "cancelled")
        }
    }

    @Test func testRolloutLeavesNothingAndDoesNotTouchWhatServes() async throws {
        try await World.with { world in
            _ = try await world.verdict(try await world.submit().id)
            let serving = world.provider.live
            let test = try await world.verdict(try await world.submit(World.manifest, .test).id)
            #expect(test.status == "promoted")
            #expect(test.deployment == "sum")
            #expect(world.provider.live == serving)
            #expect(try await world.service.deployments().map(\.name) == ["sum"])
            #expect(try await world.get("/sum/health").revision?.hasPrefix("sum.1.") == true)
        }
    }

    @Test func rollbackBringsTheEarlierRevisionBack() async throws {
        try await World.with { world in
            _ = try await world.verdict(try await world.submit().id)
            _ = try await world.verdict(try await world.submit().id)
            let rollout = try await world.verdict(try await world.service.rollBack("sum", to: nil).id)
            #expect(rollout.revision == 1)
            #expect(rollout.status == "promoted")
            #expect(try await world.get("/sum/health").revision?.hasPrefix("sum.1.") == true)
            let statuses = try await world.service.revisions(of: "sum").map { "\($0.number) \($0.status)" }
            #expect(statuses == ["2 superseded", "1 active"])
        }
    }

    @Test func destroyRemovesSandboxRouteRecordsAndLogs() async throws {
        try await World.with { world in
            _ = try await world.verdict(try await world.submit().id)
            try await world.service.destroy("sum")
            #expect(world.provider.live.isEmpty)
            #expect(try await world.get("/sum/predict").status == 404)
            await #expect(throws: BerthError.self) { try await world.service.deployment("sum") }
            #expect(!FileManager.default.fileExists(atPath: "\(world.folder)/logs/sum"))
        }
    }

    @Test func crashedAppIsRestartedAndServesAgain() async throws {
        try await World.with { world in
            _ = try await world.verdict(try await world.submit().id)
            let first = try #require(world.provider.live.first)
            world.provider.sandbox(first)?.end(.exited(code: 1))
            await world.service.tasksSettled {
                let deployment = try? await world.service.deployment("sum")
                return deployment?.restarts == 1 && deployment?.state == "serving"
            }
            #expect(world.provider.live.first != first)
            #expect(world.provider.yielding == [false, false])
            #expect(try await world.get("/sum/health").status == 200)
        }
    }

    @Test func filesThatLeaveTheAppFolderAreRefused() async throws {
        try await World.with { world in
            for path in ["../evil", "/etc/passwd", "a//b", "a/../../b", "", ".", "a\nb"] {
                let file = BundleFile(path: path, sha256: String(repeating: "0", count: 64), size: 1, role: .app)
                let request = DeployRequest(manifest: World.manifest, file: "m.yaml", lock: "", files: [file])
                let error = await #expect(throws: BerthError.self) { try await world.service.submit(request) }
                #expect(error?.code == .artifact, "\(path)")
            }
        }
    }
}

extension DeploymentService {
    /// Waits for background work by looking again after each of its steps; the test's time limit bounds it.
    nonisolated func tasksSettled(_ condition: () async -> Bool) async {
        let deadline = ContinuousClock.now + .seconds(120)
        while await !condition() {
            guard ContinuousClock.now < deadline else {
                Issue.record("it never came to that")
                return
            }
            await Task.yield()
        }
    }
}
