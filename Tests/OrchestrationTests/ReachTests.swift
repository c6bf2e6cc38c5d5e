import BerthTestSupport
import ControlAPI
import CurlClient
import DeploymentCore
import DeploymentStore
import HealthProbing
import Sandboxes
import Testing
import Waiting

@testable import Orchestration

/// Who merely cannot be reached is not replaced.
@Suite struct ReachTests {
    /// A sandbox elsewhere whose app takes no connection.
    private struct Deaf: Sandbox {
        struct Unused: Error {}

        let id = "deaf"
        let appFolder = "/app"
        let port = 49_999
        let isolation = Isolation.namespaces
        var origin: String? = "e2b, i1"
        let agent: EnvdClient?

        func path(of mount: SandboxSpecification.Mount) -> String { mount.target }
        func write(_ bytes: [UInt8], to path: String, executable: Bool) async throws { throw Unused() }
        func read(_ path: String, limit: Int) async throws -> [UInt8] { throw Unused() }
        func start(_ process: ProcessSpecification) async throws -> any SandboxProcess { throw Unused() }
        func process(tagged tag: String) async throws -> any SandboxProcess { throw Unused() }
        func connect(port: Int) async throws -> Int32 { throw PortRefused(port: port) }
        func listeners() async throws -> [Listener] { [] }
    }

    /// How often the agent was asked until the replica counted as broken; its first answers are lost.
    private func timesAsked(losing lost: Int, origin: String?) async throws -> Int {
        let clock = TestClock()
        let asked = Locked(0)
        let server = try ScriptedHTTPServer(script: { connection in
            guard connection.readRequest() != nil else { return }
            let count = asked.withLock { count in
                count += 1
                return count
            }
            if count > lost { connection.send(ScriptedAnswer(204)) } else { connection.reset() }
        })
        defer { server.close() }
        let curl = CurlClient()
        defer { curl.close() }
        try await World.with(clock) { world in
            _ = try await world.verdict(try await world.submit().id)
            let record = try #require(try world.workshop.store.revision(1, of: "sum"))
            let snapshot = try Snapshot(record)
            let agent = EnvdClient(client: curl, baseURL: server.url, transport: .network(.loopback))
            let replica = Replica(
                snapshot: snapshot, sandbox: Deaf(origin: origin, agent: agent),
                output: OutputCapture(log: world.workshop.logs, deployment: "sum", revision: 1))
            let supervisor = Supervisor(
                workshop: world.workshop, tasks: OwnedTasks(), replica: replica, restarts: 0)
            let isOver = Promise<Bool>()
            let watch = Task {
                defer { isOver.fulfil(true) }
                return await supervisor.livenessFailure(of: replica)
            }
            while isOver.current == nil {
                clock.advance(by: Manifest.Health.livenessInterval)
                await Task.yield()
            }
            #expect(await watch.value == .refused)
        }
        return asked.withLock { $0 }
    }

    @Test func replicaElsewhereIsBrokenOnlyOnceItsAgentAnswers() async throws {
        #expect(try await timesAsked(losing: 2, origin: "e2b, i1") == 3)
    }

    @Test func replicaHereIsBrokenWhateverItsAgentSays() async throws {
        #expect(try await timesAsked(losing: 2, origin: nil) == 0)
    }
}
