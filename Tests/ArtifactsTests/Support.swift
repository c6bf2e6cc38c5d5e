import BerthTestSupport
import Crypto
import CurlClient
import DeploymentCore
import Foundation
import Testing

@testable import Artifacts

func sha256(_ bytes: [UInt8]) -> String { SHA256.hash(data: Data(bytes)).hex }

/// A store in a fresh folder.
func withBlobs(limit: Int64 = BlobStore.defaultLimit, _ body: (String, BlobStore) async throws -> Void) async throws {
    try await withTemporaryFolder { folder in
        let curl = CurlClient()
        defer { curl.close() }
        try await body(folder, try BlobStore(folder: "\(folder)/blobs", curl: curl, limit: limit))
    }
}

/// Unfinished files of a store.
func leftovers(_ folder: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: "\(folder)/blobs/incoming")
}

func error(_ body: () async throws -> some Sendable) async throws -> BerthError {
    do {
        _ = try await body()
    } catch let error as BerthError {
        return error
    }
    throw Missing()
}

/// No error came where one was due.
struct Missing: Error {}

/// Chunks that come one by one.
struct Chunks: AsyncSequence, Sendable {
    var chunks: [[UInt8]]

    init(_ chunks: [[UInt8]]) { self.chunks = chunks }
    init(_ chunks: [String]) { self.chunks = chunks.map { Array($0.utf8) } }

    struct Iterator: AsyncIteratorProtocol {
        var rest: ArraySlice<[UInt8]>
        mutating func next() async -> [UInt8]? { rest.popFirst() }
    }

    func makeAsyncIterator() -> Iterator { Iterator(rest: chunks[...]) }
}

/// A tmpfs that is soon full.
enum SmallDisk {
    static var isPossible: Bool {
        guard getuid() == 0 else { return false }
        return (try? run(["mount", "--version"])) == 0 && canMount
    }

    private static let canMount: Bool = {
        let folder = FileManager.default.temporaryDirectory.appending(path: "berth-test-mount-\(getpid())").path
        try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        guard (try? run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder])) == 0 else { return false }
        return (try? run(["umount", folder])) == 0
    }()

    static func with(bytes: Int, _ body: (String) async throws -> Void) async throws {
        try await withTemporaryFolder { folder in
            try #require(try Self.run(["mount", "-t", "tmpfs", "-o", "size=\(bytes)", "tmpfs", folder]) == 0)
            do {
                try await body(folder)
            } catch {
                _ = try Self.run(["umount", "-l", folder])
                throw error
            }
            _ = try Self.run(["umount", "-l", folder])
        }
    }

    private static func run(_ command: [String]) throws -> Int32 {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = command
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        return process.terminationStatus
    }
}
