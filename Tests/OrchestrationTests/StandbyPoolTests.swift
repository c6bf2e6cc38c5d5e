import BerthTestSupport
import DeploymentCore
import Sandboxes
import Testing
import Waiting

@testable import Orchestration

/// What standbys learn of an app that still starts.
@Suite(.timeLimit(.minutes(1))) struct StandbyPoolTests {
    private let provider = ScriptedProvider()
    private let clock = TestClock()

    private func pool(limit: Int = 2) -> StandbyPool {
        StandbyPool(provider: provider, program: [], limit: limit, clock: clock)
    }

    private static func recipe(_ deployment: String = "sum", seed: Int = 0) -> StandbyRecipe {
        StandbyRecipe(
            specification: SandboxSpecification(
                id: "", labels: SandboxLabels(deployment: deployment, nonce: "", rollout: "standby")),
            manifest: Manifest(name: deployment, env: ["SEED": "\(seed)"]),
            environment: BuiltEnvironment(
                digest: "d", folder: "/usr", interpreterFolder: nil, packages: 0, isReused: true))
    }

    private func follow(_ pool: StandbyPool, _ names: String, of deployment: String = "sum") async {
        await pool.follow(Self.recipe(deployment), names: Array(names.utf8)) { Issue.record("\($0)") }
    }

    /// The one standby, once it is ready.
    private func standby(_ pool: StandbyPool) async throws -> ScriptedSandbox {
        while pool.ready(for: "sum") == 0 { await Task.yield() }
        let id = try #require(provider.live.first)
        return try #require(provider.sandbox(id))
    }

    @Test func firstNamesBeginAStandbyAndLaterOnesAreToldOnce() async throws {
        let pool = pool()
        await follow(pool, "")
        #expect(provider.created == 0)
        await follow(pool, "json\nxml.dom")
        let standby = try await standby(pool)
        #expect(try await standby.read(standby.importedNames, limit: 100) == Array("json\nxml.dom".utf8))

        await follow(pool, "json\nxml.dom\nwave")
        while standby.input.withLock(\.count) < 1 { await Task.yield() }
        await follow(pool, "wave\njson")
        await pool.refill(Self.recipe(), names: Array("json\ncolorsys".utf8), wanted: 1) { Issue.record("\($0)") }
        while standby.input.withLock(\.count) < 2 { await Task.yield() }
        #expect(standby.input.withLock { $0 } == ["{\"imports\":[\"wave\"]}\n", "{\"imports\":[\"colorsys\"]}\n"])
        #expect(provider.created == 1)
        await pool.close()
        #expect(provider.live.isEmpty)
    }

    @Test func appThatStartsTakesNobodysStandby() async throws {
        let pool = pool(limit: 1)
        await follow(pool, "json")
        _ = try await standby(pool)
        await follow(pool, "json", of: "other")
        #expect(provider.created == 1)
        await pool.close()
        await follow(pool, "json")
        #expect(provider.live.isEmpty)
    }

    @Test func whatNoAppHasProvenMakesRoom() async throws {
        let pool = pool()
        let names = Array("json".utf8)
        await pool.refill(Self.recipe("old"), names: names, wanted: 1) { Issue.record("\($0)") }
        while pool.ready(for: "old") == 0 { await Task.yield() }
        let old = provider.live
        await follow(pool, "json")
        while pool.ready(for: "sum") == 0 { await Task.yield() }
        let first = provider.live.filter { !old.contains($0) }
        // The variables have changed: one of a deployment is enough.
        await pool.follow(Self.recipe(seed: 1), names: names) { Issue.record("\($0)") }
        #expect(first.count == 1)
        #expect(provider.live.allSatisfy { !first.contains($0) })
        await pool.refill(Self.recipe("new"), names: names, wanted: 1) { Issue.record("\($0)") }
        while pool.ready(for: "old") + pool.ready(for: "new") < 2 { await Task.yield() }
        #expect(pool.ready(for: "sum") == 0)
        #expect(provider.live.count == 2)
        await pool.close()
    }

    @Test func oneThatEndsWhileItImportsIsGivenUp() async throws {
        let pool = pool()
        let told = Locked<[String]>([])
        await pool.follow(Self.recipe(), names: Array("json".utf8)) { text in told.withLock { $0.append(text) } }
        _ = try await standby(pool)
        await follow(pool, "json\nfatal")
        while told.withLock(\.isEmpty) { await Task.yield() }
        #expect(told.withLock { $0.first }?.hasPrefix("no standby, the next start is a cold one: ") == true)
        #expect(provider.live.isEmpty)
        #expect(pool.ready(for: "sum") == 0)
        #expect(await pool.take(Self.recipe()) == nil)
    }

    @Test func nothingIsBegunForAnAppWhoseStartIsOver() async {
        let pool = pool()
        let late = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            await follow(pool, "json")
        }
        await late.value
        #expect(provider.created == 0)
        await pool.close()
    }

    @Test func listWithoutAnEndIsNotKept() async throws {
        let pool = pool()
        await follow(pool, "json")
        let standby = try await standby(pool)
        await follow(pool, String(repeating: "x", count: Standby.namesLimit))
        await follow(pool, "wave")
        while standby.input.withLock(\.isEmpty) { await Task.yield() }
        #expect(standby.input.withLock { $0 } == ["{\"imports\":[\"wave\"]}\n"])
        await pool.close()
    }

    @Test func whatIsFrozenWakesToLearnAndIsFrozenAgain() async throws {
        let pool = pool()
        await follow(pool, "json")
        let standby = try await standby(pool)
        await passIdleTime()
        while !standby.isPaused { await Task.yield() }
        await follow(pool, "json\nwave")
        while standby.input.withLock(\.isEmpty) { await Task.yield() }
        #expect(!standby.isPaused)
        await passIdleTime()
        while !standby.isPaused { await Task.yield() }
        await pool.close()
    }

    private func passIdleTime() async {
        while clock.pending != [StandbyPool.idleTime] { await Task.yield() }
        clock.advance(by: StandbyPool.idleTime)
    }
}
