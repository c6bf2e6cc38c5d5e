import BerthTestSupport
import DeploymentCore
import Foundation
import Sandboxes
import Testing

@testable import LocalSandbox

/// Many sandboxes come and go, and nothing of them stays.
@Suite(needsAgent) struct LeakTests {
    private static func count(_ folder: String) -> Int {
        (try? FileManager.default.contentsOfDirectory(atPath: folder).count) ?? 0
    }

    /// How many come and go.
    private static let cycles = ProcessInfo.processInfo.environment["BERTH_TEST_CYCLES"].flatMap { Int($0) } ?? 50

    @Test func manySandboxesLeaveNothing() async throws {
        try await withEngine(Machine.strongest) { engine in
            // What is opened once, such as the folder and curl's own sockets, is no leak.
            try await engine.provider.destroy(try await engine.sandbox().id)
            let before = (files: Self.count("/proc/self/fd"), tasks: Self.count("/proc/self/task"))
            for number in 0..<Self.cycles {
                let limits = number % 2 == 0 ? SandboxLimits(disk: 1 << 30, openFiles: 1024) : SandboxLimits()
                let sandbox = try await engine.sandbox(limits)
                if number % 5 == 0 { #expect(try await sandbox.shell("echo hi").stdout == "hi\n") }
                if number % 7 == 0 { try await sandbox.pause() }
                try await engine.provider.destroy(sandbox.id)
            }
            #expect(engine.leaks() == [])
            // Curl keeps a few connections, and queues a few threads.
            #expect(Self.count("/proc/self/fd") <= before.files + 4)
            #expect(Self.count("/proc/self/task") <= before.tasks + 8)
        }
    }

    @Test func failedCreationLeavesNoGroup() async throws {
        try await withEngine(Machine.strongest, agent: "/bin/false") { engine in
            await #expect(throws: BerthError.self) { _ = try await engine.sandbox(SandboxLimits(disk: 1 << 30)) }
            #expect(engine.leaks() == [])
        }
    }
}
