import BerthTestSupport
import DeploymentCore
import E2BProtocol
import Sandboxes
import Testing
import Waiting

@testable import RemoteSandbox

@Suite struct ProviderTests {
    @Test func sandboxIsFoundByItsLabelsAndKilledOnce() async throws {
        try await Nearby.with { near in
            near.far.add(
                "iforeign", FarSide.Sandbox(metadata: ["berth-owner": "other", "berth-sandbox": "x"], timeout: 1))
            near.far.add("istranger", FarSide.Sandbox(metadata: [:], timeout: 1))
            let made = try await near.provider.create(Nearby.specification())
            #expect(made.id == "ours1")
            #expect(made.port == 49_999)
            let records = try await near.provider.list()
            #expect(records.map(\.id) == ["ours1"])
            #expect(records.first?.labels.deployment == "iris")
            #expect(records.first?.labels.rollout == "rol_1")
            try await near.provider.destroy("ours1")
            try await near.provider.destroy("ours1")
            #expect(near.far.live == ["iforeign", "istranger"])
        }
    }

    @Test func creationNamesKeyTemplateAndTime() async throws {
        try await Nearby.with { near in
            var specification = Nearby.specification()
            specification.template = "team/big:v2"
            _ = try await near.provider.create(specification)
            let call = try #require(near.far.calls("POST", "/v2/sandboxes").first)
            #expect(call.request.headers["idempotency-key"] == "ours1")
            #expect(call.request.headers["x-api-key"] == FarSide.key)
            let body = try JSONValue(parsing: call.body)
            #expect(body["templateID"] == "team/big:v2")
            #expect(body["timeout"] == 300)
            #expect(body["network"] == ["allowPublicTraffic": false])
            // The key goes to the control plane alone.
            let inside = near.far.recorded.filter { $0.request.headers["e2b-sandbox-id"] != nil }
            #expect(!inside.isEmpty)
            #expect(inside.allSatisfy { $0.request.headers["x-api-key"] == nil })
            #expect(inside.allSatisfy { $0.request.headers["x-access-token"] == "agent-token" })
        }
    }

    @Test func listIsReadToItsLastPage() async throws {
        try await Nearby.with { near in
            near.far.set(pageSize: 2)
            for number in 1...5 {
                near.far.add(
                    "i\(number)",
                    FarSide.Sandbox(
                        metadata: ["berth-owner": Nearby.owner, "berth-sandbox": "s\(number)"], isPaused: number == 3,
                        timeout: 1))
            }
            let records = try await near.provider.list()
            #expect(records.map(\.id) == ["s1", "s2", "s3", "s4", "s5"])
            #expect(records.map(\.isPaused) == [false, false, true, false, false])
        }
    }

    @Test func anotherControlPlaneAdopts() async throws {
        try await Nearby.with { near in
            let made = try await near.provider.create(Nearby.specification())
            let later = E2BProvider(
                client: near.client, settings: E2BProvider.Settings(owner: Nearby.owner), now: { 0 })
            let adopted = try await later.adopt("ours1")
            #expect((adopted as? E2BSandbox)?.handle == (made as? E2BSandbox)?.handle)
            #expect(adopted.port == made.port)
            near.far.remove(near.far.live[0])
            #expect(await failure { try await later.adopt("ours1") }?.code == .notFound)
            #expect(await failure { try await later.adopt("never") }?.code == .notFound)
            await later.close()
        }
    }

    @Test func demandsThatCannotBeMetAreRefusedBeforeAnythingIsAsked() async throws {
        try await Nearby.with { near in
            var limited = Nearby.specification()
            limited.limits.memory = 1 << 30
            #expect(await failure { try await near.provider.create(limited) }?.message.contains("memory") == true)
            var ported = Nearby.specification()
            ported.network = .hosts([try HostRule(parsing: "example.com:443")])
            #expect(await failure { try await near.provider.create(ported) }?.message.contains(":443") == true)
            #expect(await failure { try await near.provider.capabilities(demanding: .gvisor) }?.code == .sandbox)
            #expect(near.far.recorded.isEmpty)
        }
    }

    @Test func sealingClosesTheNetworkOfAManifestWithoutOne() async throws {
        try await Nearby.with { near in
            let made = try await near.provider.create(Nearby.specification())
            #expect(near.far.network(of: near.far.live[0]) == nil)
            try await made.seal()
            try await made.seal()
            #expect(near.far.network(of: near.far.live[0]) == ["denyOut": ["0.0.0.0/0"]])
            #expect(near.far.calls("PUT", "/sandboxes/").count == 1)
        }
    }

    @Test func sealingThatIsRefusedIsAnError() async throws {
        try await Nearby.with { near in
            let made = try await near.provider.create(Nearby.specification())
            near.far.answer([FarSide.json(400, ["code": 400, "message": "not here"])])
            let error = await failure { try await made.seal() }
            #expect(error?.code == .sandbox)
            #expect(error?.suggestion?.contains("network: egress") == true)
        }
    }

    @Test func pausedSandboxIsLeftAloneUntilItIsResumed() async throws {
        try await Nearby.with { near in
            let made = try await near.provider.create(Nearby.specification())
            try await made.pause()
            #expect(made.isPaused)
            #expect(await failure { try await made.connect(port: 49_999) }?.code == .unreachable)
            let same = try await near.provider.adopt("ours1")
            #expect(same.isPaused)
            #expect(near.far.sandbox(near.far.live[0])?.isPaused == true)
            try await made.resume()
            #expect(!made.isPaused)
            #expect(near.far.sandbox(near.far.live[0])?.isPaused == false)
        }
    }

    @Test func timeIsExtendedLongBeforeItsEnd() async throws {
        let clock = TestClock()
        try await Nearby.with(clock, time: { clock.now.offset }) { near in
            _ = try await near.provider.create(Nearby.specification())
            let asked = Signal()
            let running = Task { await near.provider.run() }
            for count in 1...3 {
                await clock.awaitSleepers()
                clock.advance(by: .seconds(60))
                await clock.awaitSleepers()
                clock.advance(by: .seconds(40))
                while near.far.calls("POST", "/sandboxes/").count < count { await Task.yield() }
            }
            asked.notify()
            running.cancel()
            await running.value
            #expect(near.far.sandbox(near.far.live[0])?.timeout == 300)
        }
    }

    @Test func sandboxThatEndedIsTold() async throws {
        let clock = TestClock()
        try await Nearby.with(clock, time: { clock.now.offset }) { near in
            let made = try await near.provider.create(Nearby.specification())
            near.far.remove(near.far.live[0])
            let running = Task { await near.provider.run() }
            await clock.awaitSleepers()
            clock.advance(by: .seconds(100))
            while near.said.withLock({ $0.isEmpty }) { await Task.yield() }
            running.cancel()
            await running.value
            #expect(near.said.withLock { $0.first }?.contains("has ended before its time") == true)
            #expect(await failure { try await made.process(tagged: "app") }?.code == .notFound)
        }
    }

    @Test func statisticsAddProcessorTimeUp() async throws {
        try await Nearby.with { near in
            let made = try await near.provider.create(Nearby.specification())
            let sample = try await made.statistics()
            #expect(sample.cpuLimit == 2)
            #expect(sample.memoryBytes == 128)
            #expect(sample.memoryLimitBytes == 512)
            #expect(sample.cpuSeconds == 1_000)
            #expect(try await made.statistics().cpuSeconds == 1_000)
            #expect(await made.exceededLimits().isEmpty)
        }
    }
}
