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

    private static func recipe(_ deployment: String = "sum") -> StandbyRecipe {
        StandbyRecipe(
            specification: SandboxSpecification(
                id: "", labels: SandboxLabels(deployment: deployment, nonce: "", rollout: "standby")),
            manifest: Manifest(name: deployment),
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
