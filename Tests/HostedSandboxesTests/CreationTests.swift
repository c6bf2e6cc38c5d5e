import BerthTestSupport
import DeploymentCore
import DeploymentStore
import E2BProtocol
import Sandboxes
import Testing
import Waiting

@testable import HostedSandboxes

@Suite struct CreationTests {
    @Test func aSandboxIsWrittenDownIntroducedAndHandedOver() async throws {
        try await HostWorld.with { world in
            world.engine.state.withLock { $0.enforced = EnforcedLimits(memory: .cgroup2, cpu: .cgroup2) }
            let creation = SandboxCreation(
                template: "base", timeout: 100, metadata: ["a": "b"], environment: ["X": "1", "E2B_SANDBOX": "no"])
            let handle = try await world.host.create(creation, .second)
            #expect(handle.sandbox.utf8.count == 21 && handle.sandbox.hasPrefix("i"))
            #expect(handle.agentVersion == "0.6.13")
            let token = try #require(handle.agentToken)
            #expect(handle.trafficToken == nil)

            let specification = try #require(world.engine.state.withLock { $0.specifications.first })
            #expect(specification.labels.isHosted)
            #expect(specification.network == .egress)
            #expect(specification.limits == SandboxLimits(memory: 512 << 20, cpu: 2))

            let told = try #require(world.engine.state.withLock { $0.introductions.first })
            #expect(told["accessToken"] == .string(token))
            #expect(told["defaultUser"] == "user")
            #expect(told["envVars"]?["X"] == "1")
            #expect(told["envVars"]?["E2B_SANDBOX"] == "true")
            #expect(told["envVars"]?["E2B_SANDBOX_ID"] == .string(handle.sandbox))

            let record = try #require(try world.store.hostedSandbox(handle.sandbox))
            #expect(record.state == .running)
            #expect(record.endAt == world.now + 100_000)
            #expect(try world.events() == [.created])
            #expect(await world.state(handle.sandbox) == .running)
        }
    }

    @Test func limitsThatNothingHoldsAreNotAskedFor() async throws {
        try await HostWorld.with { world in
            _ = try await world.make()
            #expect(world.engine.state.withLock { $0.specifications.first?.limits } == SandboxLimits())
        }
    }

    @Test(arguments: [Effect.create, .introduce], Fault.allCases)
    func aCreationThatFailsLeavesNothing(_ effect: Effect, _ fault: Fault) async throws {
        try await HostWorld.with { world in
            world.engine.fail(effect, fault)
            if fault == .hangs {
                let result = await world.timingOut { _ = try await world.make() }
                #expect(throws: ControlFailure.self) { try result.get() }
            } else {
                let failure = await ControlFailure.of { try await world.make() }
                #expect(failure?.code == 500)
            }
            try await expectNothing(world)
        }
    }

    @Test(arguments: [Effect.create, .introduce])
    func aCancelledCreationLeavesNothing(_ effect: Effect) async throws {
        try await HostWorld.with { world in
            world.engine.fail(effect, .hangs)
            let version = world.engine.hanging.version
            let making = Task { try await world.make() }
            await world.engine.hanging.wait(after: version)
            making.cancel()
            await #expect(throws: (any Error).self) { try await making.value }
            try await expectNothing(world)
        }
    }

    private func expectNothing(_ world: HostWorld) async throws {
        #expect(world.engine.live.isEmpty)
        #expect(try world.store.hostedSandboxes().isEmpty)
        #expect(try world.events().isEmpty)
        #expect(try await world.host.list(SandboxQuery()).rows.isEmpty)
    }

    @Test func whatAFailedCreationCannotRemoveIsRemovedLater() async throws {
        try await HostWorld.with { world in
            world.engine.fail(.introduce, .failsAfter)
            world.engine.fail(.destroy, .failsBefore)
            #expect(await ControlFailure.of { try await world.make() } != nil)
            #expect(world.engine.live.count == 1)
            #expect(try world.store.hostedSandboxes().count == 1)
            #expect(try await world.host.list(SandboxQuery()).rows.isEmpty)
            world.engine.heal()
            try await world.expiring { try await world.until { try world.store.hostedSandboxes().isEmpty } }
            #expect(world.engine.live.isEmpty)
            #expect(try world.events().isEmpty)
        }
    }

    @Test func theSameKeyAndRequestGiveTheSameSandbox() async throws {
        try await HostWorld.with { world in
            let key = try CreationKey("a-1", digest: "x")
            async let first = world.make(key: key)
            async let second = world.make(key: key)
            let ids = try await [first, second, world.make(key: key)]
            #expect(Set(ids).count == 1)
            #expect(world.engine.live == [ids[0]])

            let other = try CreationKey("a-1", digest: "y")
            #expect(await ControlFailure.of { try await world.make(key: other) }?.code == 409)
            try await world.host.kill(ids[0])
            #expect(await ControlFailure.of { try await world.make(key: key) }?.code == 409)
            world.clock.advance(by: .seconds(86_401))
            #expect(try await world.make(key: key) != ids[0])
        }
    }

    @Test func aFailedCreationMayBeRepeatedWithItsKey() async throws {
        try await HostWorld.with { world in
            let key = try CreationKey("a", digest: "x")
            world.engine.fail(.create, .failsBefore)
            #expect(await ControlFailure.of { try await world.make(key: key) } != nil)
            world.engine.heal()
            _ = try await world.make(key: key)
        }
    }

    @Test(arguments: ["", "A", "ä", "a_b", String(repeating: "a", count: 256)])
    func aKeyHasOnlyItsCharacters(_ key: String) {
        #expect(throws: ControlFailure.self) { try CreationKey(key, digest: "") }
    }

    @Test func noMoreRunThanMay() async throws {
        try await HostWorld.with(HostedSettings(maximumSandboxes: 2)) { world in
            let first = try await world.make()
            _ = try await world.make()
            let failure = await ControlFailure.of { try await world.make() }
            #expect(failure?.code == 429)
            #expect(failure?.shouldRetry == false)
            #expect(failure?.message.contains("maximum number of concurrent sandboxes (2)") ?? false)
            try await world.host.pause(first)
            _ = try await world.make()
            #expect(await ControlFailure.of { try await world.host.connect(first, timeout: 10) }?.code == 429)
        }
    }

    @Test func creationsHaveARate() async throws {
        try await HostWorld.with(HostedSettings(creationsPerSecond: 2)) { world in
            for _ in 0..<2 { _ = try await world.make() }
            let failure = await ControlFailure.of { try await world.make() }
            #expect(failure?.code == 429)
            #expect(failure?.retryAfter == 1)
            #expect(failure?.shouldRetry == true)
            #expect(failure?.rate == ControlFailure.Rate(limit: 2, remaining: 0, reset: 1))
            world.clock.advance(by: .seconds(1))
            _ = try await world.make()
        }
    }

    @Test func tokensAreTheSameForTheNextHostAndOthersForOtherSandboxes() {
        let tokens = SandboxTokens(seed: Array(repeating: 1, count: 32))
        let same = SandboxTokens(seed: Array(repeating: 1, count: 32))
        let other = SandboxTokens(seed: Array(repeating: 2, count: 32))
        #expect(tokens.agentToken("i1") == same.agentToken("i1"))
        #expect(tokens.agentToken("i1").utf8.count == 64)
        let all = [
            tokens.agentToken("i1"), tokens.trafficToken("i1"), tokens.agentToken("i2"), other.agentToken("i1"),
        ]
        #expect(Set(all).count == 4)
    }
}
