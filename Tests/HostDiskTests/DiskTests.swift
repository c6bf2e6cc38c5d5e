import BerthTestSupport
import DeploymentCore
import Foundation
import Testing

@testable import HostDisk

@Suite struct DiskTests {
    private static func text(_ path: String) throws -> String { try String(contentsOfFile: path, encoding: .utf8) }

    private static func mode(_ path: String) throws -> Int {
        let attributes = try FileManager.default.attributesOfItem(atPath: path)
        return (attributes[.posixPermissions] as? Int) ?? 0
    }

    @Test func replacingLeavesTheNewFileAloneInItsFolder() async throws {
        try await withTemporaryFolder { folder in
            let path = "\(folder)/note"
            try Disk.replace(path, with: Array("old and long".utf8))
            try Disk.replace(path, with: Array("new".utf8))
            #expect(try Self.text(path) == "new")
            #expect(try Self.mode(path) == 0o600)
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["note"])
        }
    }

    @Test func whatCannotBeReplacedStaysAndNothingIsLeftBeside() async throws {
        try await withTemporaryFolder { folder in
            let path = "\(folder)/taken"
            try Disk.makeFolder("\(path)/inside")
            #expect(throws: BerthError.self) { try Disk.replace(path, with: [1]) }
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["taken"])
            let error = #expect(throws: BerthError.self) { try Disk.replace("\(folder)/none/file", with: [1]) }
            #expect(error?.message.contains("\(folder)/none/file") == true)
        }
    }

    @Test func theFirstToMakeAFileWins() async throws {
        try await withTemporaryFolder { folder in
            let path = "\(folder)/key"
            try Disk.make(path, with: Array("first".utf8))
            try Disk.make(path, with: Array("second".utf8))
            #expect(try Self.text(path) == "first")
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["key"])
        }
    }

    @Test func foldersAreMadeWithThoseAboveThem() async throws {
        try await withTemporaryFolder { folder in
            try Disk.makeFolder("\(folder)/a/b/c", mode: 0o700)
            try Disk.makeFolder("\(folder)/a/b/c", mode: 0o700)
            #expect(try Self.mode("\(folder)/a") == 0o700)
            try Disk.replace("\(folder)/file", with: [])
            let error = #expect(throws: BerthError.self) { try Disk.makeFolder("\(folder)/file/below") }
            #expect(error?.message.contains("\(folder)/file") == true)
        }
    }

    @Test func aFullDiskIsToldAsOne() async throws {
        try #require(FileManager.default.fileExists(atPath: "/dev/full"))
        let full = open("/dev/full", O_WRONLY)
        defer { close(full) }
        let error = #expect(throws: BerthError.self) { try Disk.write([1], to: full, "/somewhere") }
        #expect(error?.code == .storageFull)
        #expect(error?.message.contains("/somewhere") == true)
    }
}
