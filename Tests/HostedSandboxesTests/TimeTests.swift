import BerthTestSupport
import DeploymentCore
import DeploymentStore
import E2BProtocol
import Sandboxes
import Testing
import Waiting

@testable import HostedSandboxes

@Suite struct TimeTests {
    @Test func itIsKilledAtItsEnd() async throws {
        try await HostWorld.with { world in
            let id = try await world.make(timeout: 60)
            try await world.expiring {
                await world.until { world.clock.pending == [.seconds(60)] }
                world.clock.advance(by: .seconds(59))
                #expect(await world.state(id) == .running)
                world.clock.advance(by: .seconds(1))
                try await world.until { try world.written(id) == nil }
            }
            #expect(world.engine.live.isEmpty)
            #expect(try world.events(id) == [.created, .killed])
        }
    }

    @Test func itIsPausedAtItsEndWhereThatWasAskedFor() async throws {
        try await HostWorld.with { world in
            let id = try await world.make(timeout: 60, pausesOnTimeout: true)
            try await world.expiring {
                await world.until { world.clock.pending == [.seconds(60)] }
                world.clock.advance(by: .seconds(60))
                try await world.until { try world.written(id) == .paused }
            }
            #expect(try await world.host.information(id).endAt == Timestamp(seconds: HostWorld.epoch / 1_000 + 60))
            #expect(world.engine.live == [id])
        }
    }

    @Test func aPauseAtTheEndThatFailsIsRepeated() async throws {
        try await HostWorld.with { world in
            let id = try await world.make(timeout: 60, pausesOnTimeout: true)
            world.engine.fail(.pause, .failsBefore)
            try await world.expiring {
                await world.until { world.clock.pending == [.seconds(60)] }
                world.clock.advance(by: .seconds(60))
                await world.until { world.clock.pending == [.seconds(1)] }
                #expect(await world.state(id) == .running)
                world.engine.heal()
                world.clock.advance(by: .seconds(1))
                try await world.until { try world.written(id) == .paused }
            }
        }
    }

    @Test func theEndCanBeMovedBothWaysButNotBeyondADay() async throws {
        try await HostWorld.with { world in
            let id = try await world.make(timeout: 60)
            try await world.host.setTimeout(id, 10)
            #expect(try world.store.hostedSandbox(id)?.endAt == world.now + 10_000)
            try await world.host.setTimeout(id, .max)
            #expect(try world.store.hostedSandbox(id)?.endAt == world.now + 86_400_000)
            world.clock.advance(by: .seconds(100))
            try await world.host.setTimeout(id, 86_400)
            #expect(try world.store.hostedSandbox(id)?.endAt == HostWorld.epoch + 86_400_000)
            #expect(await ControlFailure.of { try await world.host.setTimeout(id, -1) }?.code == 400)
            #expect(await ControlFailure.of { try await world.host.setTimeout("nobody", 1) }?.code == 404)
            #expect(try world.events(id) == [.created, .updated, .updated, .updated])
        }
    }

    @Test func zeroEndsItAtOnce() async throws {
        try await HostWorld.with { world in
            let killed = try await world.make()
            try await world.host.setTimeout(killed, 0)
            #expect(await world.state(killed) == nil)
            let paused = try await world.make(pausesOnTimeout: true)
            try await world.host.setTimeout(paused, 0)
            #expect(await world.state(paused) == .paused)
        }
    }

    @Test func aRefreshOnlyExtends() async throws {
        try await HostWorld.with { world in
            let id = try await world.make(timeout: 60)
            try await world.host.refresh(id, 1)
            #expect(try world.store.hostedSandbox(id)?.endAt == world.now + 60_000)
            world.clock.advance(by: .seconds(55))
            try await world.host.refresh(id, 0)
            #expect(try world.store.hostedSandbox(id)?.endAt == world.now + 15_000)
            #expect(await ControlFailure.of { try await world.host.refresh(id, 3_601) }?.code == 400)
        }
    }

    @Test func trafficResumesWhereThatWasAskedForAndForFiveMinutesAtLeast() async throws {
        try await HostWorld.with { world in
            let id = try await world.make(timeout: 20, pausesOnTimeout: true, resumesOnTraffic: true)
            try await world.host.pause(id)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<20 { group.addTask { _ = try await world.host.enter(id) } }
                try await group.waitForAll()
            }
            #expect(try world.events(id) == [.created, .paused, .resumed])
            #expect(try world.store.hostedSandbox(id)?.endAt == world.now + 300_000)
        }
    }

    @Test func trafficDoesNotResumeOthers() async throws {
        try await HostWorld.with { world in
            let id = try await world.make()
            try await world.host.pause(id)
            await #expect(throws: HostedRefusal.notFound) { try await world.host.enter(id) }
            await #expect(throws: HostedRefusal.notFound) { try await world.host.enter("nobody") }
        }
    }

    @Test func trafficHearsWhyItCannotResume() async throws {
        try await HostWorld.with(HostedSettings(maximumSandboxes: 1)) { world in
            let id = try await world.make(resumesOnTraffic: true)
            try await world.host.pause(id)
            let other = try await world.make()
            await #expect {
                try await world.host.enter(id)
            } throws: { error in
                guard case .limited(let text) = error as? HostedRefusal else { return false }
                return text.contains("maximum number")
            }
            try await world.host.kill(other)
            world.engine.fail(.resume, .failsBefore)
            await #expect {
                try await world.host.enter(id)
            } throws: { error in
                guard case .failed = error as? HostedRefusal else { return false }
                return true
            }
            #expect(await world.state(id) == .paused)
        }
    }

    @Test func nobodyGetsInWhileItIsHeld() async throws {
        try await HostWorld.with { world in
            let id = try await world.make()
            let door = try await world.host.enter(id)
            let state = try await world.host.hold(id) { _, record in
                await door.ended()
                await #expect(throws: HostedRefusal.transitioning) { try await world.host.enter(id) }
                return record.state
            }
            #expect(state == .running)
            _ = try await world.host.enter(id)
        }
    }
}
