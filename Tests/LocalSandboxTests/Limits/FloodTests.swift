import DeploymentCore
import Foundation
import Glibc
import Sandboxes
import Testing

@testable import LocalSandbox

/// An app that prints without end.
@Suite(needsAgent) struct FloodTests {
    /// What is printed and read, in bytes.
    private static let volume = 8 << 20

    @Test func floodReachesItsReaderWithoutGrowingTheAgentOrUs() async throws {
        try await withEngine(Machine.strongest) { engine in
            let sandbox = try await engine.sandbox()
            let before = ProcessUsage.memoryBytes(getpid())
            let process = try await sandbox.start(
                ProcessSpecification(
                    tag: "flood", command: ["/bin/sh", "-c", "yes x | head -c \(Self.volume); echo; echo over"]))
            var count = 0
            var end: [UInt8] = []
            for try await event in process.events {
                guard case .stdout(let bytes) = event else { continue }
                count += bytes.count
                end = (end + bytes).suffix(6)
            }
            #expect(count == Self.volume + 6)
            #expect(end == Array("\nover\n".utf8))
            let statistics = try await sandbox.statistics()
            #expect(statistics.memoryBytes < 64 << 20)
            #expect(ProcessUsage.memoryBytes(getpid()) - before < 128 << 20)
        }
    }

    @Test func gibibyteThatNobodyReadsIsDroppedButForItsEnd() async throws {
        try await withEngine(Machine.strongest) { engine in
            let sandbox = try await engine.sandbox()
            #expect(try await sandbox.shell("mkfifo gate").status == .exited(code: 0))
            let flood = "head -c 1073741824 /dev/zero; echo over; echo open > gate; exec sleep 600"
            _ = try await sandbox.start(
                ProcessSpecification(tag: "flood", command: ["/bin/sh", "-c", flood]))
            // The gate opens once everything was printed; other work in the sandbox goes on meanwhile.
            #expect(try await sandbox.shell("cat gate").stdout == "open\n")
            #expect(try await sandbox.statistics().memoryBytes < 64 << 20)
            let process = try await sandbox.process(tagged: "flood")
            var count = 0
            for try await event in process.events {
                guard case .stdout(let bytes) = event else { continue }
                count += bytes.count
                if bytes.suffix(5) == Array("over\n".utf8)[...] { break }
            }
            #expect(count < 1 << 20)
        }
    }
}
