import BerthTestSupport
import DeploymentCore
import DeploymentStore
import E2BProtocol
import Sandboxes
import Testing
import Waiting

@testable import HostedSandboxes

@Suite struct RestartTests {
    /// What a crash left: what is written, and how the sandbox is; nil where there is none.
    struct Remains: Sendable, CustomStringConvertible {
        let written: HostedSandboxRecord.State
        /// Whether it is paused; nil where there is none.
        let isPaused: Bool?
        /// What becomes of it; nil is gone.
        let outcome: SandboxInformation.State?
        let events: [SandboxEventRecord.Kind]

        var description: String { "\(written), \(isPaused.map { $0 ? "paused" : "running" } ?? "gone")" }
    }

    static let remains = [
        Remains(written: .creating, isPaused: nil, outcome: nil, events: []),
        Remains(written: .creating, isPaused: false, outcome: nil, events: []),
        Remains(written: .running, isPaused: false, outcome: .running, events: []),
        Remains(written: .running, isPaused: true, outcome: .running, events: []),
        Remains(written: .running, isPaused: nil, outcome: nil, events: [.killed]),
        Remains(written: .pausing, isPaused: false, outcome: .running, events: []),
        Remains(written: .pausing, isPaused: true, outcome: .paused, events: [.paused]),
        Remains(written: .pausing, isPaused: nil, outcome: nil, events: [.killed]),
        Remains(written: .paused, isPaused: true, outcome: .paused, events: []),
        Remains(written: .paused, isPaused: false, outcome: .paused, events: []),
        Remains(written: .paused, isPaused: nil, outcome: nil, events: [.killed]),
        Remains(written: .resuming, isPaused: true, outcome: .paused, events: []),
        Remains(written: .resuming, isPaused: false, outcome: .running, events: [.resumed]),
        Remains(written: .resuming, isPaused: nil, outcome: nil, events: [.killed]),
        Remains(written: .ending, isPaused: false, outcome: nil, events: []),
        Remains(written: .ending, isPaused: nil, outcome: nil, events: []),
    ]

    @Test(arguments: remains) func aCrashLeavesNothingHalfDone(_ remains: Remains) async throws {
        try await HostWorld.with { world in
            try world.store.write(Self.record("i1", remains.written, endAt: world.now + 60_000))
            if let isPaused = remains.isPaused { world.engine.plant("i1", isPaused: isPaused) }
            let next = try await world.restarted()
            #expect(await next.state("i1") == remains.outcome)
            #expect(world.engine.live == (remains.outcome == nil ? [] : ["i1"]))
            #expect(try next.written("i1") == remains.outcome.map { $0 == .running ? .running : .paused })
            #expect(try next.events("i1") == remains.events)
            if let outcome = remains.outcome {
                #expect(world.engine.sandbox("i1")?.isPaused == (outcome == .paused))
                #expect((next.host.wheel.time(of: "i1") != nil) == (outcome == .running))
            }
            await next.host.close()
        }
    }

    @Test func orphansAreRemovedAndOthersSandboxesAreNot() async throws {
        try await HostWorld.with { world in
            world.engine.plant("i1")
            world.engine.plant("r1", rollout: "a rollout")
            world.engine.plant("i2", isAlive: false)
            try world.store.write(Self.record("i2", .running, endAt: world.now + 60_000))
            let next = try await world.restarted()
            #expect(world.engine.live == ["r1"])
            #expect(try next.events() == [.killed])
            await next.host.close()
        }
    }

    @Test func whatExpiredMeanwhileEndsAtOnce() async throws {
        try await HostWorld.with { world in
            let killed = try await world.make(timeout: 60)
            let paused = try await world.make(timeout: 60, pausesOnTimeout: true)
            await world.host.close()
            world.clock.advance(by: .seconds(100))
            let next = try await world.restarted()
            try await next.expiring {
                try await next.until { try next.written(killed) == nil }
                try await next.until { try next.written(paused) == .paused }
            }
            #expect(world.engine.live == [paused])
            await next.host.close()
        }
    }

    @Test func tokensAndEndsOutliveAHost() async throws {
        try await HostWorld.with { world in
            let id = try await world.make(timeout: 60, metadata: ["who": "me"])
            let before = try await world.host.information(id)
            await world.host.close()
            #expect(await ControlFailure.of { try await world.make() }?.code == 503)
            let next = try await world.restarted()
            #expect(try await next.host.information(id) == before)
            #expect(next.host.wheel.time(of: id) == next.now + 60_000)
            await next.host.close()
        }
    }

    @Test(arguments: [Effect.adopt, .destroy])
    func oneThatCannotBeBroughtBackDoesNotKeepTheOthers(_ effect: Effect) async throws {
        try await HostWorld.with { world in
            let state: HostedSandboxRecord.State = effect == .adopt ? .running : .ending
            try world.store.write(Self.record("i1", state, endAt: world.now + 60_000))
            world.engine.plant("i1")
            world.engine.fail(effect, .failsBefore)
            let failures = try await world.host.recover()
            #expect(failures.count == 1)
            world.engine.heal()
            if effect == .adopt {
                _ = try await world.host.enter("i1")
            } else {
                try await world.expiring {
                    world.clock.advance(by: .seconds(1))
                    try await world.until { try world.written("i1") == nil }
                }
                #expect(world.engine.live.isEmpty)
            }
        }
    }

    @Test func theNetworkThatWasWrittenIsOpened() async throws {
        try await HostWorld.with { world in
            var record = Self.record("i1", .running, endAt: world.now + 60_000)
            record.allowsInternet = false
            try world.store.write(record)
            world.engine.plant("i1")
            let next = try await world.restarted()
            #expect(world.engine.sandbox("i1")?.state.withLock(\.access) == .hosts([]))
            await next.host.close()
        }
    }

    @Test func allOfThemCanBeEnded() async throws {
        try await HostWorld.with { world in
            _ = try await world.make()
            try await world.host.pause(try await world.make())
            #expect(await world.host.killAll().isEmpty)
            #expect(world.engine.live.isEmpty)
            #expect(try world.store.hostedSandboxes().isEmpty)
        }
    }

    static func record(_ id: String, _ state: HostedSandboxRecord.State, endAt: Int64) -> HostedSandboxRecord {
        HostedSandboxRecord(
            id: id, template: "base", build: "base", alias: "base", state: state, execution: "e", createdAt: 1,
            startedAt: 1, endAt: endAt, timeout: 60, processors: 2, memoryMiB: 512, isSecure: true,
            pausesOnTimeout: false, resumesOnTraffic: false, allowsInternet: nil, network: nil, metadata: [:],
            environment: [:], volumes: nil)
    }
}
