import BerthTestSupport
import DeploymentCore
import DeploymentStore
import E2BProtocol
import Sandboxes
import Testing
import Waiting

@testable import HostedSandboxes

@Suite struct LifeTests {
    @Test func aPauseEndsTheRunAndConnectBeginsAnother() async throws {
        try await HostWorld.with { world in
            let id = try await world.make()
            let token = try await world.host.handle(of: id).agentToken
            let door = try await world.host.enter(id)
            try await world.host.pause(id)
            await door.ended()
            #expect(world.engine.sandbox(id)?.isPaused == true)
            #expect(await world.state(id) == .paused)
            #expect(await ControlFailure.of { try await world.host.pause(id) }?.code == 409)
            #expect(await ControlFailure.of { try await world.host.setTimeout(id, 9) }?.code == 404)
            world.clock.advance(by: .seconds(1_000))

            let (handle, isResumed) = try await world.host.connect(id, timeout: 30)
            #expect(isResumed)
            #expect(handle.agentToken == token)
            #expect(world.engine.sandbox(id)?.isPaused == false)
            #expect(try world.store.hostedSandbox(id)?.endAt == world.now + 30_000)
            #expect(try world.events(id) == [.created, .paused, .resumed])
            #expect(try await !world.host.connect(id, timeout: 5).isResumed)
            #expect(try world.store.hostedSandbox(id)?.endAt == world.now + 30_000)
            #expect(await ControlFailure.of { try await world.host.resume(id, timeout: 5) }?.code == 409)
        }
    }

    @Test(arguments: Fault.allCases) func aPauseThatFailsLeavesItRunning(_ fault: Fault) async throws {
        try await HostWorld.with { world in
            let id = try await world.make(timeout: 80_000)
            world.engine.fail(.pause, fault)
            let failure: ControlFailure?
            if fault == .hangs {
                let result = await world.timingOut { try await world.host.pause(id) }
                failure = await ControlFailure.of { try result.get() }
            } else {
                failure = await ControlFailure.of { try await world.host.pause(id) }
            }
            #expect(failure?.code == 503)
            #expect(await world.state(id) == .running)
            #expect(try world.written(id) == .running)
            #expect(world.engine.sandbox(id)?.isPaused == false)
            #expect(try world.events(id) == [.created])
            _ = try await world.host.enter(id)
        }
    }

    @Test(arguments: Fault.allCases) func aResumptionThatFailsLeavesItPaused(_ fault: Fault) async throws {
        try await HostWorld.with { world in
            let id = try await world.make()
            try await world.host.pause(id)
            world.engine.fail(.resume, fault)
            let failure: ControlFailure?
            if fault == .hangs {
                let result = await world.timingOut { _ = try await world.host.connect(id, timeout: 9) }
                failure = await ControlFailure.of { try result.get() }
            } else {
                failure = await ControlFailure.of { try await world.host.connect(id, timeout: 9) }
            }
            #expect(failure?.code == 503)
            #expect(await world.state(id) == .paused)
            #expect(try world.written(id) == .paused)
            #expect(world.engine.sandbox(id)?.isPaused == true)
            world.engine.heal()
            #expect(try await world.host.connect(id, timeout: 9).isResumed)
        }
    }

    @Test func whatCannotBeTakenBackIsTakenBackLater() async throws {
        try await HostWorld.with { world in
            let id = try await world.make(timeout: 1_000)
            world.engine.fail(.pause, .failsAfter)
            world.engine.fail(.resume, .failsBefore)
            #expect(await ControlFailure.of { try await world.host.pause(id) }?.code == 503)
            #expect(try world.written(id) == .pausing)
            await #expect(throws: HostedRefusal.transitioning) { try await world.host.enter(id) }
            world.engine.heal()
            try await world.expiring {
                world.clock.advance(by: .seconds(1))
                try await world.until { try world.written(id) == .running }
            }
            #expect(world.engine.sandbox(id)?.isPaused == false)
            #expect(world.host.wheel.time(of: id) == HostWorld.epoch + 1_000_000)
        }
    }

    @Test func aKilledOneIsGoneBeforeItIsRemoved() async throws {
        try await HostWorld.with { world in
            let id = try await world.make()
            let door = try await world.host.enter(id)
            world.engine.fail(.destroy, .hangs)
            let version = world.engine.hanging.version
            let killing = Task { try await world.host.kill(id) }
            await door.ended()
            await world.engine.hanging.wait(after: version)
            await #expect(throws: HostedRefusal.notFound) { try await world.host.enter(id) }
            #expect(await ControlFailure.of { try await world.host.information(id) }?.code == 404)
            #expect(try world.written(id) == .ending)
            #expect(world.engine.live == [id])
            await world.until { !world.clock.pending.isEmpty }
            world.clock.advance(by: .seconds(600))
            try await killing.value
            #expect(await ControlFailure.of { try await world.host.kill(id) }?.code == 404)

            world.engine.heal()
            try await world.expiring {
                world.clock.advance(by: .seconds(1))
                try await world.until { try world.written(id) == nil }
            }
            #expect(world.engine.live.isEmpty)
            #expect(try world.events(id) == [.created, .killed])
        }
    }

    @Test(arguments: [Fault.failsBefore, .failsAfter])
    func aRemovalThatFailsIsRepeated(_ fault: Fault) async throws {
        try await HostWorld.with { world in
            let id = try await world.make()
            world.engine.fail(.destroy, fault)
            try await world.host.kill(id)
            #expect(await world.state(id) == nil)
            world.engine.heal()
            try await world.expiring {
                world.clock.advance(by: .seconds(1))
                try await world.until { try world.written(id) == nil }
            }
            #expect(world.engine.live.isEmpty)
        }
    }

    @Test func aPausedOneCanBeKilled() async throws {
        try await HostWorld.with { world in
            let id = try await world.make()
            try await world.host.pause(id)
            try await world.host.kill(id)
            #expect(world.engine.live.isEmpty)
            #expect(try world.store.hostedSandboxes().isEmpty)
        }
    }

    @Test func aPauseGoesToItsEndWhenItsCallerLeaves() async throws {
        try await HostWorld.with { world in
            let id = try await world.make()
            let pausing = Task { try await world.host.pause(id) }
            pausing.cancel()
            try await pausing.value
            #expect(try world.written(id) == .paused)
        }
    }

    @Test func whatEndedByItselfIsTold() async throws {
        try await HostWorld.with { world in
            let id = try await world.make()
            world.engine.sandbox(id)?.state.withLock { $0.isAlive = false }
            await world.host.measure()
            #expect(await world.state(id) == nil)
            #expect(try world.events(id) == [.created, .killed])
            #expect(world.engine.live.isEmpty)
        }
    }

    @Test func measurementsComeEveryFiveSeconds() async throws {
        try await HostWorld.with { world in
            let id = try await world.make()
            #expect(try await world.host.measurements(id).isEmpty)
            let measuring = Task { await world.host.measureSandboxes() }
            for count in 1...2 {
                await world.until { world.clock.pending == [.seconds(5)] }
                world.engine.sandbox(id)?.state.withLock { $0.cpuSeconds += 1 }
                world.clock.advance(by: .seconds(5))
                await world.until { (try? await world.host.measurements(id).count) == count }
            }
            measuring.cancel()
            await measuring.value
            let last = try #require(try await world.host.measurements(id).last)
            // One of the two processors' ten seconds.
            #expect(last.processorPercent == 10)
            #expect(last.memoryTotal == 512 << 20 && last.memoryCache == 1 << 20)
            #expect(try await world.host.measurements(id, from: last.time, to: last.time) == [last])
            #expect(await world.host.lastMeasurements([id, "nobody"]) == [id: last])
        }
    }
}
