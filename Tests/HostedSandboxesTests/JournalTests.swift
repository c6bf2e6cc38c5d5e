import BerthTestSupport
import DeploymentCore
import E2BProtocol
import Foundation
import Testing

@testable import HostedSandboxes

@Suite struct JournalTests {
    @Test func logsAndMeasurementsOutliveAHostAndEndWithTheSandbox() async throws {
        try await HostWorld.with { world in
            let id = try await world.make()
            world.clock.advance(by: .seconds(5))
            await world.host.measure()
            let lines = try await world.host.lines(id, LogQuery())
            let measurements = try await world.host.measurements(id)
            #expect(lines.count == 1 && measurements.count == 1)
            await world.host.close()
            let folder = "\(world.folder)/logs"
            try Data("orphan\n".utf8).write(to: URL(filePath: "\(folder)/inobody.log"))
            let next = try await world.restarted()
            #expect(Array(try await next.host.lines(id, LogQuery()).prefix(1)) == lines)
            #expect(try await next.host.measurements(id) == measurements)
            await next.host.measure()
            #expect(try await next.host.measurements(id).count == 2)
            #expect(
                try FileManager.default.contentsOfDirectory(atPath: folder).sorted() == ["\(id).log", "\(id).metrics"])
            let mode = try FileManager.default.attributesOfItem(atPath: "\(folder)/\(id).log")[.posixPermissions]
            #expect(mode as? Int == 0o600)
            try await next.host.kill(id)
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == [])
            await next.host.close()
        }
    }

    @Test func aFileOfLinesIsBoundedAndItsLastLinesAreKept() async throws {
        try await withTemporaryFolder { folder in
            let file = LineFile(path: "\(folder)/f", capacity: 3)
            #expect(file.load() == [])
            var kept: [[UInt8]] = []
            for number in 0..<20 {
                kept = (kept + [Array("\(number)".utf8)]).suffix(3)
                file.append(Array("\(number)".utf8)) { kept }
                let content = try String(contentsOfFile: file.path, encoding: .utf8)
                #expect(content.split(separator: "\n").count <= 6)
                #expect(content.hasSuffix("\(number)\n"))
            }
            #expect(LineFile(path: file.path, capacity: 3).load() == kept)
            file.remove()
            // The output of a process may come after its sandbox's end.
            file.append(Array("late".utf8)) { [] }
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == [])
        }
    }

    @Test func whatACrashCutShortSpoilsNoOtherLine() async throws {
        try await withTemporaryFolder { folder in
            let path = "\(folder)/f"
            let first = SandboxLog(file: LineFile(path: path, capacity: 9))
            first.append("one", at: 1)
            first.append("two", .warn, source: "start command", at: 2)
            let whole = try Data(contentsOf: URL(filePath: path))
            try (whole + Data("no json\n".utf8) + whole.prefix(10)).write(to: URL(filePath: path))
            let second = SandboxLog(file: LineFile(path: path, capacity: 9))
            #expect(second.all == first.all)
            second.append("three", at: 3)
            #expect(SandboxLog(file: LineFile(path: path, capacity: 9)).all == second.all)
        }
    }

    @Test func whatCannotBeWrittenIsKnownAllTheSame() async throws {
        try await withTemporaryFolder { folder in
            let log = SandboxLog(file: LineFile(path: "\(folder)/missing/f", capacity: 9))
            log.append("one", at: 1)
            #expect(log.all.map(\.message) == ["one"])
        }
    }
}
