import BerthTestSupport
import DeploymentCore
import DeploymentStore
import E2BProtocol
import Sandboxes
import Testing
import Waiting

@testable import HostedSandboxes

@Suite struct FilePauseTests {
    @Test func itEndsTheProcessesAndConnectStartsAnewFromTheFiles() async throws {
        try await HostWorld.with { world in
            let id = try await world.make(resumesOnTraffic: true, metadata: ["who": "me"])
            let before = try await world.host.information(id)
            let door = try await world.host.enter(id)
            try await world.host.pause(id, keepsMemory: false)
            await door.ended()
            #expect(world.engine.live == [])
            #expect(world.files.stored == [ScriptedFiles.archive(id)])
            #expect(try await world.host.information(id).pauseMode == .filesystem)
            #expect(try await world.host.list(SandboxQuery()).rows.map(\.pauseMode) == [.filesystem])
            #expect(await ControlFailure.of { try await world.host.pause(id, keepsMemory: false) }?.code == 409)
            #expect(await ControlFailure.of { try await world.host.pause(id) }?.code == 409)
            // Traffic, which may resume others, does not start anything anew.
            await #expect(throws: HostedRefusal.notFound) { try await world.host.enter(id) }
            #expect(await world.host.agentTokens().isEmpty)
            // Its files cannot be read, so that neither a snapshot nor a fork can be made.
            #expect(await ControlFailure.of { try await world.host.hold(id) { _, _ in } }?.code == 409)
            #expect(world.engine.live == [])
            world.clock.advance(by: .seconds(1_000))

            let (handle, isResumed) = try await world.host.connect(id, timeout: 30)
            #expect(isResumed)
            #expect(handle == before.handle)
            let after = try await world.host.information(id)
            #expect(after.metadata == before.metadata && after.detail == before.detail && after.pauseMode == nil)
            #expect(after.endAt == Timestamp(milliseconds: world.now + 30_000))
            let specifications = world.engine.state.withLock(\.specifications)
            #expect(Set(specifications.map(\.id)) == [id] && specifications.count == 2)
            #expect(specifications[0].network == specifications[1].network)
            #expect(world.engine.state.withLock { $0.introductions.count } == 2)
            #expect(world.files.stored.isEmpty)
            #expect(try world.events(id) == [.created, .paused, .resumed])
            _ = try await world.host.enter(id)
            // As often as anybody likes.
            try await world.host.pause(id, keepsMemory: false)
            #expect(try await world.host.connect(id, timeout: 30).isResumed)
        }
    }

    @Test func whatItShowsOfTheHostIsKnownUntilItIsGone() async throws {
        try await HostWorld.with { world in
            let shown: Set = ["/host/environment"]
            let id = try await world.make()
            #expect(try world.store.hostedMounts().isEmpty)
            try await world.host.pause(id, keepsMemory: false)
            _ = try await world.host.connect(id, timeout: 60)
            #expect(try world.store.hostedMounts() == shown)
            let image = SandboxImage(
                template: "base", build: "base", mounts: [SandboxSpecification.Mount(source: "/host/x", target: "/x")])
            let copy = try await world.host.copy(of: id, from: image, timeout: 60).sandbox
            try await world.host.pause(copy)
            try await world.host.pause(id, keepsMemory: false)
            #expect(try world.store.hostedMounts() == shown.union(["/host/x"]))
            try await world.host.kill(copy)
            #expect(try world.store.hostedMounts() == shown)
            try await world.host.kill(id)
            #expect(try world.store.hostedMounts().isEmpty)
        }
    }

    @Test func theEndOfItsTimeKeepsFilesAloneWhereThatWasAskedFor() async throws {
        try await HostWorld.with { world in
            let id = try await world.make(timeout: 60, pausesOnTimeout: true, pausesWithMemory: false)
            try await world.expiring {
                world.clock.advance(by: .seconds(60))
                try await world.until { try world.written(id) == .paused }
                await world.until { world.engine.live == [] }
            }
            #expect(try await world.host.information(id).pauseMode == .filesystem)
            _ = try await world.host.connect(id, timeout: 60)
            try await world.host.setTimeout(id, 0)
            #expect(try await world.host.information(id).pauseMode == .filesystem)
            let full = try await world.make(timeout: 60, pausesOnTimeout: true)
            try await world.host.setTimeout(full, 0)
            #expect(try await world.host.information(full).pauseMode == .full)
            #expect(world.engine.live == [full])
        }
    }

    @Test(arguments: Fault.allCases) func onePauseThatFailsLeavesItRunning(_ fault: Fault) async throws {
        try await HostWorld.with { world in
            let id = try await world.make(timeout: 80_000)
            world.engine.fail(.keep, fault)
            let failure = await world.failure(of: fault) { try await world.host.pause(id, keepsMemory: false) }
            #expect(failure?.code == 503)
            #expect(await world.state(id) == .running)
            #expect(try world.store.hostedSandbox(id)?.pauseMode == nil)
            #expect(world.engine.live == [id])
            #expect(world.files.stored.isEmpty && world.files.still.isEmpty)
            #expect(try world.events(id) == [.created])
            _ = try await world.host.enter(id)
        }
    }

    @Test func whatWasStoppedAndCannotBeReleasedIsReleasedLater() async throws {
        try await HostWorld.with { world in
            let id = try await world.make(timeout: 1_000)
            world.engine.fail(.keep, .failsBefore)
            world.engine.fail(.release, .failsBefore)
            world.engine.state.withLock { $0.error = BerthError(.notFound, "no such file") }
            #expect(await ControlFailure.of { try await world.host.pause(id, keepsMemory: false) }?.code == 503)
            #expect(try world.written(id) == .pausing)
            #expect(try await world.host.information(id).pauseMode == nil)
            world.engine.heal()
            try await world.expiring {
                world.clock.advance(by: .seconds(1))
                try await world.until { try world.written(id) == .running }
            }
            #expect(world.host.wheel.time(of: id) == HostWorld.epoch + 1_000_000)
        }
    }

    @Test func oneThatEndsWhileItIsPausedIsGone() async throws {
        try await HostWorld.with { world in
            let id = try await world.make()
            world.engine.sandbox(id)?.state.withLock { $0.isAlive = false }
            world.engine.fail(.keep, .failsBefore)
            #expect(await ControlFailure.of { try await world.host.pause(id, keepsMemory: false) }?.code == 404)
            #expect(world.engine.live == [])
            #expect(try world.events(id) == [.created, .killed])
        }
    }

    @Test(arguments: Fault.allCases) func processesThatDoNotEndAtOnceEndLater(_ fault: Fault) async throws {
        try await HostWorld.with { world in
            let id = try await world.make()
            world.engine.fail(.destroy, fault)
            let failure = await world.failure(of: fault) { try await world.host.pause(id, keepsMemory: false) }
            #expect(failure == nil)
            #expect(try world.written(id) == .paused)
            world.engine.heal()
            try await world.expiring {
                world.clock.advance(by: .seconds(1))
                await world.until { world.engine.live == [] && world.host.wheel.time(of: id) == nil }
            }
            #expect(try await world.host.connect(id, timeout: 60).isResumed)
        }
    }

    @Test func oneWhoseProcessesDidNotEndIsStartedFromItsFilesToo() async throws {
        try await HostWorld.with { world in
            let id = try await world.make()
            world.engine.fail(.destroy, .failsBefore)
            try await world.host.pause(id, keepsMemory: false)
            world.engine.heal()
            let left = world.engine.sandbox(id)
            #expect(left != nil)
            #expect(try await world.host.connect(id, timeout: 60).isResumed)
            #expect(world.engine.sandbox(id) !== left)
            #expect(world.host.wheel.time(of: id) == world.now + 60_000)
        }
    }

    @Test(arguments: [Effect.create, .introduce, .destroy], Fault.allCases)
    func oneResumptionThatFailsLeavesItPausedWithItsFiles(_ effect: Effect, _ fault: Fault) async throws {
        try await HostWorld.with { world in
            let id = try await world.make()
            try await world.host.pause(id, keepsMemory: false)
            world.engine.fail(effect, fault)
            world.engine.state.withLock { $0.error = BerthError(.notFound, "no such file") }
            // Until it has given up, a removal that hangs has to be waited for twice.
            let failure = await world.failure(of: fault) { _ = try await world.host.connect(id, timeout: 9) }
            #expect(failure?.code == 503)
            #expect(await world.state(id) == .paused)
            #expect(world.files.stored == [ScriptedFiles.archive(id)])
            world.engine.heal()
            if effect == .destroy {
                try await world.expiring {
                    world.clock.advance(by: .seconds(1))
                    try await world.until { try world.written(id) == .paused }
                }
            }
            #expect(world.engine.live == [])
            #expect(try world.written(id) == .paused)
            #expect(try await world.host.connect(id, timeout: 9).isResumed)
            #expect(try world.events(id) == [.created, .paused, .resumed])
            #expect(world.files.stored.isEmpty)
        }
    }

    @Test func filesThatAreGoneAreSaidToBe() async throws {
        try await HostWorld.with { world in
            let id = try await world.make()
            try await world.host.pause(id, keepsMemory: false)
            world.files.state.withLock { $0.stored = [] }
            #expect(await ControlFailure.of { try await world.host.connect(id, timeout: 9) }?.code == 500)
            #expect(try world.written(id) == .paused)
            try await world.host.kill(id)
            #expect(try world.store.hostedSandboxes().isEmpty)
        }
    }

    @Test func aKilledOneLeavesNoFiles() async throws {
        try await HostWorld.with { world in
            let id = try await world.make()
            try await world.host.pause(id, keepsMemory: false)
            try await world.host.kill(id)
            #expect(world.files.stored.isEmpty)
            #expect(try world.store.hostedSandboxes().isEmpty)
            #expect(try world.events(id) == [.created, .paused, .killed])
        }
    }

    @Test func itCountsAsNoneThatRuns() async throws {
        try await HostWorld.with(HostedSettings(maximumSandboxes: 1)) { world in
            let id = try await world.make()
            try await world.host.pause(id, keepsMemory: false)
            let other = try await world.make()
            #expect(await ControlFailure.of { try await world.host.connect(id, timeout: 9) }?.code == 429)
            #expect(try world.written(id) == .paused)
            try await world.host.kill(other)
            #expect(try await world.host.connect(id, timeout: 9).isResumed)
        }
    }

    @Test func itGoesToItsEndWhenItsCallerLeaves() async throws {
        try await HostWorld.with { world in
            let id = try await world.make()
            let pausing = Task { try await world.host.pause(id, keepsMemory: false) }
            pausing.cancel()
            try await pausing.value
            #expect(world.engine.live == [])
            let connecting = Task { try await world.host.connect(id, timeout: 9) }
            connecting.cancel()
            _ = try await connecting.value
            #expect(try world.written(id) == .running)
        }
    }

    @Test func onePausedWithItsProcessesCanBeStartedAnew() async throws {
        try await HostWorld.with { world in
            let id = try await world.make()
            #expect(try await !world.host.connect(id, timeout: 60, keepsMemory: false).isResumed)
            try await world.host.pause(id)
            let before = world.engine.sandbox(id)
            #expect(try await world.host.connect(id, timeout: 60, keepsMemory: false).isResumed)
            #expect(world.engine.sandbox(id) != nil && world.engine.sandbox(id) !== before)
            #expect(world.engine.sandbox(id)?.isPaused == false)
            #expect(world.files.stored.isEmpty)
            #expect(try world.events(id) == [.created, .paused, .resumed, .paused, .resumed])

            try await world.host.pause(id)
            world.engine.fail(.keep, .failsBefore)
            let failure = await ControlFailure.of {
                try await world.host.resume(id, timeout: 60, keepsMemory: false)
            }
            #expect(failure?.code == 503)
            #expect(world.engine.sandbox(id)?.isPaused == true)
            #expect(try await world.host.information(id).pauseMode == .full)
        }
    }

    /// What a crash left: what is written, and how the sandbox is; nil where there is none.
    struct Remains: Sendable, CustomStringConvertible {
        let written: HostedSandboxRecord.State
        /// Whether the record names the archive.
        let isStored: Bool
        let isAlive: Bool?
        /// What becomes of it; nil is gone.
        let outcome: SandboxInformation.State?
        let events: [SandboxEventRecord.Kind]

        var description: String {
            "\(written), \(isStored ? "stored" : "not stored"), \(isAlive.map { $0 ? "alive" : "dead" } ?? "gone")"
        }
    }

    static let remains = [
        Remains(written: .pausing, isStored: false, isAlive: true, outcome: .running, events: []),
        Remains(written: .pausing, isStored: false, isAlive: nil, outcome: nil, events: [.killed]),
        Remains(written: .paused, isStored: true, isAlive: true, outcome: .paused, events: []),
        Remains(written: .paused, isStored: true, isAlive: false, outcome: .paused, events: []),
        Remains(written: .paused, isStored: true, isAlive: nil, outcome: .paused, events: []),
        Remains(written: .resuming, isStored: true, isAlive: true, outcome: .paused, events: []),
        Remains(written: .resuming, isStored: true, isAlive: nil, outcome: .paused, events: []),
        Remains(written: .ending, isStored: true, isAlive: nil, outcome: nil, events: []),
        Remains(written: .ending, isStored: true, isAlive: true, outcome: nil, events: []),
    ]

    @Test(arguments: remains) func aCrashLosesNoFilesAndLeavesNothingHalfDone(_ remains: Remains) async throws {
        try await HostWorld.with { world in
            var record = RestartTests.record("i1", remains.written, endAt: world.now + 60_000)
            record.pauseMode = .filesystem
            if remains.isStored {
                record.archive = ScriptedFiles.archive("i1")
                record.content = "{}"
            }
            try world.store.write(record)
            if remains.isStored { world.files.plant("i1") }
            if let isAlive = remains.isAlive { world.engine.plant("i1", isAlive: isAlive) }
            world.files.state.withLock { _ = $0.still.insert("i1") }
            let next = try await world.restarted()
            #expect(await next.state("i1") == remains.outcome)
            #expect(world.engine.live == (remains.outcome == .running ? ["i1"] : []))
            #expect(world.files.stored == (remains.outcome == .paused ? [ScriptedFiles.archive("i1")] : []))
            #expect(try next.events("i1") == remains.events)
            if remains.outcome == .running { #expect(world.files.still.isEmpty) }
            if remains.outcome == .paused { #expect(try await next.host.connect("i1", timeout: 9).isResumed) }
            await next.host.close()
        }
    }

    @Test func aRemovalThatFailsAfterACrashIsRepeated() async throws {
        try await HostWorld.with { world in
            var record = RestartTests.record("i1", .resuming, endAt: world.now + 60_000)
            record.pauseMode = .filesystem
            record.archive = ScriptedFiles.archive("i1")
            record.content = "{}"
            try world.store.write(record)
            world.files.plant("i1")
            world.engine.plant("i1")
            world.engine.fail(.destroy, .failsBefore)
            world.engine.state.withLock { $0.error = BerthError(.notFound, "no such file") }
            #expect(try await world.host.recover().count == 1)
            world.engine.heal()
            try await world.expiring {
                world.clock.advance(by: .seconds(1))
                try await world.until { try world.written("i1") == .paused }
            }
            #expect(world.engine.live == [])
            #expect(try await world.host.connect("i1", timeout: 9).isResumed)
        }
    }
}
