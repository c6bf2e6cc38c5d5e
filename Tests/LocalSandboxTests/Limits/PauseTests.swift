import BerthTestSupport
import DeploymentCore
import Foundation
import Sandboxes
import Testing

@testable import LocalSandbox

/// Sandboxes that stand still and go on, on each kind of host.
@Suite(needsAgent, needsPython) struct PauseTests {
    @Test(arguments: Machine.hosts, Machine.everyRung)
    func pausedSandboxStandsStillAndServesOnceResumed(_ host: Host, _ isolation: Isolation) async throws {
        try await withEngine(isolation, enforcement: host.enforcement) { engine in
            let sandbox = try await engine.sandbox()
            _ = try await sandbox.serve("hello")
            #expect(!sandbox.isPaused)
            try await sandbox.pause()
            try await sandbox.pause()
            #expect(sandbox.isPaused)
            #expect(try await engine.provider.list().map(\.isPaused) == [true])
            let folder = engine.provider.sandboxFolder(sandbox.id)
            let processes = SandboxProcesses(folder: folder, state: try #require(try folder.state()))
            #expect(!processes.all.isEmpty)
            let before = processes.all.sorted().map { ProcessUsage.cpuSeconds($0) }
            await #expect(throws: BerthError.self) { _ = try await sandbox.connect(port: sandbox.port) }
            // Statistics come from outside, and do not wait for anybody inside.
            #expect(try await sandbox.statistics().processes == processes.all.count)
            #expect(processes.all.sorted().map { ProcessUsage.cpuSeconds($0) } == before)
            try await sandbox.resume()
            try await sandbox.resume()
            #expect(try await sandbox.ask(engine.client) == "hello")
            #expect(try await engine.provider.list().map(\.isPaused) == [false])
        }
    }

    @Test(.enabled(if: Machine.enforcement.enforced.reclaim != .none, "there is no swap"))
    func pausedSandboxGivesItsMemoryBackAndLaterKeepsWhatItWorksWith() async throws {
        try await withEngine(Machine.strongest) { engine in
            let sandbox = try await engine.sandbox()
            // Memory that no request touches again, none of it zeros.
            let server = try await sandbox.serve("hello", keeping: "os.urandom(64 << 20)")
            let folder = engine.provider.sandboxFolder(sandbox.id)
            let processes = SandboxProcesses(folder: folder, state: try #require(try folder.state()))
            let residence = { processes.all.map(ProcessUsage.residence).reduce(Int64(0)) { $0 + $1.resident } }
            let before = residence()
            try await sandbox.pause()
            #expect(residence() * Reclaiming.keptPart <= before)
            try await sandbox.resume()
            #expect(try await sandbox.ask(engine.client) == "hello")
            let working = residence()
            try #require(working * Reclaiming.keptPart < before)
            try await sandbox.pause()
            #expect(residence() >= working)
            try await sandbox.resume()
            #expect(try await sandbox.ask(engine.client) == "hello")
            withExtendedLifetime(server) {}
        }
    }

    @Test(arguments: Machine.hosts, Machine.everyRung)
    func pausedSandboxIsDestroyed(_ host: Host, _ isolation: Isolation) async throws {
        try await withEngine(isolation, enforcement: host.enforcement) { engine in
            let sandbox = try await engine.sandbox()
            _ = try await sandbox.serve("hello")
            try await sandbox.pause()
            let start = ContinuousClock.now
            try await engine.provider.destroy(sandbox.id)
            #expect(ContinuousClock.now - start < .seconds(2))
            #expect(engine.leaks() == [])
        }
    }

    @Test(arguments: Machine.hosts)
    func nextControlPlaneFindsItPausedAndResumesIt(_ host: Host) async throws {
        try await withEngine(Machine.strongest, enforcement: host.enforcement) { engine in
            let sandbox = try await engine.sandbox()
            _ = try await sandbox.serve("hello")
            try await sandbox.pause()
            let later = engine.restarted()
            #expect(try await later.list().map(\.isPaused) == [true])
            let adopted = try await later.adopt(sandbox.id)
            #expect(adopted.isPaused)
            try await adopted.resume()
            #expect(try await adopted.ask(engine.client) == "hello")
        }
    }

    @Test(arguments: Machine.hosts)
    func processesThatKeepForkingStandStillToo(_ host: Host) async throws {
        try await withEngine(Machine.strongest, enforcement: host.enforcement) { engine in
            let sandbox = try await engine.sandbox()
            let process = try await sandbox.start(
                ProcessSpecification(
                    tag: "forks", command: ["/bin/sh", "-c", "echo up; while :; do (:) & wait; done"]))
            try await waitForLine("up\n", from: process)
            try await sandbox.pause()
            let folder = engine.provider.sandboxFolder(sandbox.id)
            let processes = SandboxProcesses(folder: folder, state: try #require(try folder.state()))
            let before = processes.all.sorted()
            #expect(try await sandbox.statistics().processes == before.count)
            #expect(processes.all.sorted() == before)
            try await sandbox.resume()
            #expect(try await sandbox.shell("echo on").stdout == "on\n")
        }
    }

    @Test func serverAnswersAfterItsMemoryWasMovedOut() async throws {
        try await withEngine(Machine.strongest) { engine in
            let sandbox = try await engine.sandbox()
            _ = try await sandbox.serve("hello")
            let folder = engine.provider.sandboxFolder(sandbox.id)
            try await sandbox.pause()
            let processes = SandboxProcesses(folder: folder, state: try #require(try folder.state()))
            Reclaiming.run(.pageout, processes)
            try await sandbox.resume()
            #expect(try await sandbox.ask(engine.client) == "hello")
        }
    }

    @Test func endedSandboxCannotBePaused() async throws {
        try await withEngine(.process) { engine in
            let sandbox = try await engine.sandbox()
            try await engine.provider.destroy(sandbox.id)
            let error = await #expect(throws: BerthError.self) { try await sandbox.pause() }
            #expect(error?.code == .notFound)
        }
    }

    @Test func mappingsAreJoinedAndTheKernelsAreLeftOut() {
        let maps = """
            55d0c0000000-55d0c0002000 r--p 00000000 fe:00 12 /usr/bin/x y
            55d0c0002000-55d0c0003000 r-xp 00002000 fe:00 12 /usr/bin/x y
            7f0000000000-7f0000021000 rw-p 00000000 00:00 0
            7ffd00000000-7ffd00002000 r--p 00000000 00:00 0  [vvar]
            7ffd00002000-7ffd00003000 r-xp 00000000 00:00 0  [vdso]
            """
        #expect(
            Reclaiming.ranges(Array(maps.utf8)) == [
                0x55d0_c000_0000..<0x55d0_c000_3000, 0x7f00_0000_0000..<0x7f00_0002_1000,
            ])
    }
}
