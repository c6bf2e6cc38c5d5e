import BerthTestSupport
import DeploymentCore
import Foundation
import Glibc
import Sandboxes
import Testing

@testable import LocalSandbox

/// What a sandbox is said to use.
@Suite(needsAgent, needsPython) struct StatisticsTests {
    @Test(arguments: Machine.hosts, Machine.everyRung)
    func useIsCounted(_ host: Host, _ isolation: Isolation) async throws {
        try await withEngine(isolation, enforcement: host.enforcement) { engine in
            let sandbox = try await engine.sandbox()
            let idle = try await sandbox.statistics()
            let program = """
                import os, signal, time
                memory = bytearray(os.urandom(1 << 20) * 32)
                with open("data", "wb") as file: file.write(bytes(3 << 20))
                child = os.fork()
                if child == 0:
                    while time.process_time() < 0.2: pass
                    os._exit(0)
                os.waitpid(child, 0)
                print("ready", flush=True)
                signal.pause()
                """
            let process = try await sandbox.start(
                ProcessSpecification(tag: "use", command: ["/usr/bin/python3", "-c", program]))
            try await waitForLine("ready\n", from: process)
            let busy = try await sandbox.statistics()
            #expect(busy.cpuSeconds - idle.cpuSeconds > 0.2)
            #expect(busy.memoryBytes - idle.memoryBytes > 32 << 20)
            #expect(busy.memoryBytes < 256 << 20)
            #expect(busy.diskBytes - idle.diskBytes >= 3 << 20)
            #expect(!busy.diskIsPartial)
            // gVisor has processes of its own for each one inside.
            if isolation == .gvisor {
                #expect(busy.processes > idle.processes)
            } else {
                #expect(busy.processes == idle.processes + 1)
            }
            #expect(busy.uptimeSeconds >= idle.uptimeSeconds)
            #expect((0..<60).contains(busy.uptimeSeconds))
            #expect((busy.networkReceivedBytes == nil) == (isolation != .namespaces))
        }
    }

    @Test(needsNamespaces)
    func requestsAreCountedAsTraffic() async throws {
        try await withEngine(.namespaces) { engine in
            let sandbox = try await engine.sandbox()
            _ = try await sandbox.serve(String(repeating: "x", count: 50_000))
            let before = try #require(try await sandbox.statistics().networkReceivedBytes)
            _ = try await sandbox.ask(engine.client)
            let after = try #require(try await sandbox.statistics().networkReceivedBytes)
            #expect(after - before > 50_000)
        }
    }

    @Test func diskIsMeasuredWithoutFollowingLinksAndWithinItsLimit() async throws {
        try await withTemporaryFolder { folder in
            try FileManager.default.createDirectory(atPath: "\(folder)/a/b", withIntermediateDirectories: true)
            try SandboxFolder.write([UInt8](repeating: 1, count: 1 << 20), to: "\(folder)/a/b/file")
            #expect(symlink("/usr", "\(folder)/a/link") == 0)
            let whole = DiskUsage.measure(folder, maximumEntries: 100)
            #expect(whole.entries == 4)
            #expect(((1 << 20)..<(2 << 20)).contains(whole.bytes))
            #expect(!whole.isPartial)
            #expect(DiskUsage.measure(folder, maximumEntries: 2).isPartial)
            #expect(DiskUsage.measure("\(folder)/a/link", maximumEntries: 2).isPartial)
            let deep = String(repeating: "/d", count: DiskUsage.maximumDepth + 2)
            try FileManager.default.createDirectory(atPath: folder + deep, withIntermediateDirectories: true)
            #expect(DiskUsage.measure(folder, maximumEntries: 1000).isPartial)
        }
    }

    @Test func filesWithoutNamesAreFound() async throws {
        try await withTemporaryFolder { folder in
            let path = "\(folder)/file"
            let file = try Descriptor(opening: path, flags: O_WRONLY | O_CREAT)
            let bytes = [UInt8](repeating: 1, count: 1 << 20)
            #expect(write(file.number, bytes, bytes.count) == bytes.count)
            // Whoever started the tests may have left files without names open in them: what counts is the difference.
            let before = DiskUsage.nameless(heldBy: [getpid()], like: folder)
            unlink(path)
            let more = DiskUsage.nameless(heldBy: [getpid(), getpid()], like: folder) - before
            #expect((1 << 20..<2 << 20).contains(more))
            withExtendedLifetime(file) {}
        }
    }
}
