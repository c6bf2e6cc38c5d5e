import BerthTestSupport
import ControlAPI
import DeploymentCore
import DeploymentStore
import Foundation
import Testing
import Waiting

@testable import Orchestration

@Suite struct ExpiryTests {
    private static let hour: Int64 = 3_600_000
    private static let manifest = World.manifest + "\nttl: 2h"

    /// Runs `body` with a deployment that lives two hours, while expiries are carried out.
    private func deployed(_ body: (World, TestClock, Task<Void, Never>) async throws -> Void) async throws {
        let clock = TestClock()
        try await World.with(clock) { world in
            let expiring = Task { await world.service.expireDeployments { _ in } }
            do {
                #expect(try await world.verdict(try await world.submit(Self.manifest).id).status == "promoted")
                try await body(world, clock, expiring)
            } catch {
                expiring.cancel()
                await expiring.value
                throw error
            }
            expiring.cancel()
            await expiring.value
        }
    }

    @Test func deploymentIsDestroyedWhenItsTimeIsOver() async throws {
        try await deployed { (world, clock, _) async throws -> Void in
            #expect(try await world.service.deployment("sum").expiresAt == 2 * Self.hour)
            clock.advance(by: .seconds(7_199))
            #expect(try await world.get("/sum/predict").status == 200)
            await world.service.tasksSettled {
                clock.advance(by: .seconds(1))
                return (try? await world.service.deployment("sum")) == nil
            }
            #expect(world.provider.live.isEmpty)
            #expect(try await world.get("/sum/predict").status == 404)
            #expect(!FileManager.default.fileExists(atPath: "\(world.folder)/logs/sum"))
            #expect(try world.lifecycle() == ["expired", "destroyed"])
        }
    }

    @Test func extensionNeverShortensUnlessAsked() async throws {
        try await deployed { (world, clock, _) async throws -> Void in
            let service = world.service
            clock.advance(by: .seconds(3_600))
            #expect(try await service.extend("sum", milliseconds: 600_000, isExact: false).expiresAt == 2 * Self.hour)
            #expect(
                try await service.extend("sum", milliseconds: 2 * Self.hour, isExact: false).expiresAt == 3 * Self.hour)
            #expect(
                try await service.extend("sum", milliseconds: Self.hour, isExact: true).expiresAt == 2 * Self.hour)
            #expect(try await service.extend("sum", milliseconds: nil, isExact: false).expiresAt == nil)
            // No end is later than any.
            #expect(try await service.extend("sum", milliseconds: Self.hour, isExact: false).expiresAt == nil)
            #expect(world.workshop.expiries.time(of: "sum") == nil)
            #expect(
                try await service.extend("sum", milliseconds: Self.hour, isExact: true).expiresAt == 2 * Self.hour)
            #expect(world.workshop.expiries.time(of: "sum") == 2 * Self.hour)
            for wrong in [0, -1, DeploymentService.longestLife + 1, .max] {
                let error = await #expect(throws: BerthError.self) {
                    try await service.extend("sum", milliseconds: wrong, isExact: true)
                }
                #expect(error?.code == .usage)
            }
            #expect(try world.lifecycle() == ["extended", "extended", "extended", "extended"])
        }
    }

    @Test func everyDeploySetsTheEndAnewAndWithoutATimeThereIsNone() async throws {
        try await deployed { (world, clock, _) async throws -> Void in
            clock.advance(by: .seconds(3_600))
            _ = try await world.verdict(try await world.submit(Self.manifest).id)
            #expect(try await world.service.deployment("sum").expiresAt == 3 * Self.hour)
            _ = try await world.verdict(try await world.submit().id)
            #expect(try await world.service.deployment("sum").expiresAt == nil)
            #expect(world.workshop.expiries.time(of: "sum") == nil)
            _ = try await world.verdict(try await world.service.rollBack("sum", to: 1).id)
            #expect(try await world.service.deployment("sum").expiresAt == 3 * Self.hour)
        }
    }

    @Test func failedRedeployLeavesTheEndWhereItWas() async throws {
        try await deployed { (world, _, _) async throws -> Void in
            world.provider.set(.start, .failsBefore)
            #expect(try await world.verdict(try await world.submit().id).status == "failed")
            #expect(try await world.service.deployment("sum").expiresAt == 2 * Self.hour)
        }
    }

    @Test func endWaitsForARolloutAndGivesWayToItsEnd() async throws {
        try await deployed { (world, clock, _) async throws -> Void in
            world.provider.set(.create, .hangs)
            let id = try await world.submit(Self.manifest).id
            await world.provider.hanging.wait()
            // Past the old end, before the deadline of the sandbox is over.
            _ = try await world.service.extend("sum", milliseconds: 1_000, isExact: true)
            clock.advance(by: .seconds(1))
            while clock.pending.contains(.zero) { await Task.yield() }
            #expect(try await world.get("/sum/predict").status == 200)
            _ = try await world.service.cancel(id)
            world.provider.heal()
            await world.service.tasksSettled {
                clock.advance(by: .seconds(1))
                return (try? await world.service.deployment("sum")) == nil
            }
            #expect(try world.lifecycle().suffix(2) == ["expired", "destroyed"])
        }
    }

    @Test(arguments: Fault.allCases)
    func endThatGoesWrongIsTriedAgain(_ fault: Fault) async throws {
        try await deployed { (world, clock, expiring) async throws -> Void in
            world.provider.setDestroy(fault)
            if fault == .hangs {
                while !world.provider.hanging.isOpen {
                    clock.advance(by: .seconds(3_600))
                    await Task.yield()
                }
                #expect(try await world.state() == "ending")
                // The control plane ends meanwhile; the next one goes on with it.
                expiring.cancel()
                world.provider.heal()
                await expiring.value
                let next = try await world.restarted(clock)
                await #expect(throws: BerthError.self) { try await next.service.deployment("sum") }
                #expect(next.provider.live.isEmpty)
                await next.close()
            } else {
                while try await world.state() != "ending" { clock.advance(by: .seconds(3_600)) }
                await world.service.tasksSettled { (try? await world.get("/sum/predict").status) == 404 }
                world.provider.heal()
                await world.service.tasksSettled {
                    clock.advance(by: .seconds(60))
                    return (try? await world.service.deployment("sum")) == nil
                }
            }
            #expect(try world.lifecycle().last == "destroyed")
        }
    }

    @Test(arguments: [false, true])
    func endThatPassedWhileNothingRanIsCarriedOutAtTheStart(_ isAsleep: Bool) async throws {
        try await deployed { (world, clock, expiring) async throws -> Void in
            expiring.cancel()
            await expiring.value
            if isAsleep { try await world.putToSleep() }
            await world.service.close()
            clock.advance(by: .seconds(7_200))
            let next = try await world.restarted(clock)
            #expect(try await next.service.deployments().isEmpty)
            #expect(next.provider.live.isEmpty)
            #expect(next.provider.created == 1)
            #expect(try next.lifecycle().suffix(2) == ["expired", "destroyed"])
            await next.close()
        }
    }

    @Test func endIsKeptByTheNextControlPlane() async throws {
        try await deployed { (world, clock, _) async throws -> Void in
            let next = try await world.restarted(clock)
            #expect(try await next.service.deployment("sum").expiresAt == 2 * Self.hour)
            #expect(next.workshop.expiries.time(of: "sum") == 2 * Self.hour)
            await next.close()
        }
    }
}
