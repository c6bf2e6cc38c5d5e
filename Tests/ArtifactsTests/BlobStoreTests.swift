import BerthTestSupport
import CurlClient
import DeploymentCore
import Foundation
import Testing

@testable import Artifacts

@Suite struct BlobStoreTests {
    private func inode(_ path: String) throws -> Int {
        try #require(try FileManager.default.attributesOfItem(atPath: path)[.systemFileNumber] as? Int)
    }

    @Test func aFileIsHashedWhileItIsCopied() async throws {
        try await withBlobs { folder, blobs in
            let bytes = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
            try Data(bytes).write(to: URL(fileURLWithPath: "\(folder)/model.bin"))
            let blob = try await blobs.add(path: "\(folder)/model.bin")
            #expect(blob.digest == sha256(bytes))
            #expect(blob.size == 3_000_000)
            #expect(try Data(contentsOf: URL(fileURLWithPath: blob.path)) == Data(bytes))
            #expect(try FileManager.default.attributesOfItem(atPath: blob.path)[.posixPermissions] as? Int == 0o444)
            #expect(blobs.path(of: blob.digest) == blob.path)
            #expect(try await blobs.verify(blob.digest))
            #expect(try leftovers(folder).isEmpty)
        }
    }

    @Test func aWrongDigestIsRefusedAndBothAreNamed() async throws {
        try await withBlobs { folder, blobs in
            try Data("abc".utf8).write(to: URL(fileURLWithPath: "\(folder)/a"))
            let pinned = String(repeating: "1", count: 64)
            let failure = try await error { try await blobs.add(path: "\(folder)/a", expected: pinned) }
            #expect(failure.code == .artifact)
            #expect(failure.message.contains(pinned) && failure.message.contains(sha256(Array("abc".utf8))))
            let upload = try await error { try await blobs.add(Chunks(["a", "bc"]), digest: pinned) }
            #expect(upload.message.contains(pinned) && upload.message.contains(sha256(Array("abc".utf8))))
            #expect(try leftovers(folder).isEmpty)
            #expect(blobs.missing([pinned]) == [pinned])
        }
    }

    @Test func whatIsAlreadyThereIsNotWrittenAgain() async throws {
        try await withBlobs { folder, blobs in
            try Data("abc".utf8).write(to: URL(fileURLWithPath: "\(folder)/a"))
            let first = try await blobs.add(path: "\(folder)/a")
            let number = try inode(first.path)
            // The source is gone: with the digest known nothing is read either.
            try FileManager.default.removeItem(atPath: "\(folder)/a")
            let second = try await blobs.add(path: "\(folder)/a", expected: first.digest)
            #expect(second == first)
            #expect(try inode(second.path) == number)
        }
    }

    @Test func simultaneousAddsOfOneContentGiveOneBlob() async throws {
        try await withBlobs { folder, blobs in
            try Data(repeating: 7, count: 2_000_000).write(to: URL(fileURLWithPath: "\(folder)/a"))
            let found = try await withThrowingTaskGroup(of: Blob.self) { group in
                for _ in 0..<8 { group.addTask { try await blobs.add(path: "\(folder)/a") } }
                return try await group.reduce(into: Set<String>()) { $0.insert($1.path) }
            }
            #expect(found.count == 1)
            #expect(try leftovers(folder).isEmpty)
        }
    }

    @Test func uploadsAreLimitedAndDigestsAreNoPaths() async throws {
        try await withBlobs { folder, blobs in
            let digest = sha256(Array("abcdef".utf8))
            let large = try await error { try await blobs.add(Chunks(["abc", "def"]), digest: digest, limit: 5) }
            #expect(large.code == .tooLarge)
            for name in ["../../etc/passwd", "", String(repeating: "A", count: 64), String(repeating: "/", count: 64)] {
                #expect(blobs.path(of: name) == nil)
                let failure = try await error { try await blobs.add(Chunks(["abc"]), digest: name) }
                #expect(failure.code == .artifact)
            }
            let blob = try await blobs.add(Chunks(["abc", "def"]), digest: digest)
            #expect(blob.size == 6)
            #expect(try leftovers(folder).isEmpty)
        }
    }

    @Test func fifosAndFoldersAreNoFiles() async throws {
        try await withBlobs { folder, blobs in
            #expect(mkfifo("\(folder)/fifo", 0o600) == 0)
            for path in ["\(folder)/fifo", folder, "\(folder)/nowhere", "/dev/null"] {
                let failure = try await error { try await blobs.add(path: path) }
                #expect(failure.code == .artifact)
            }
        }
    }

    @Test func garbageIsWhatIsOldAndNotKept() async throws {
        try await withBlobs { folder, blobs in
            let kept = try await blobs.add(Chunks(["a"]), digest: sha256(Array("a".utf8)))
            let gone = try await blobs.add(Chunks(["b"]), digest: sha256(Array("b".utf8)))
            #expect(blobs.collectGarbage(keeping: [kept.digest]).isEmpty, "both are younger than the grace period")
            #expect(blobs.collectGarbage(keeping: [kept.digest], graceSeconds: 0) == [gone.digest])
            #expect(blobs.path(of: kept.digest) != nil)
            #expect(blobs.path(of: gone.digest) == nil)
        }
    }

    @Test func whatWasAskedForSurvivesTheNextCollection() async throws {
        try await withBlobs { folder, blobs in
            let blob = try await blobs.add(Chunks(["a"]), digest: sha256(Array("a".utf8)))
            var before = stat()
            #expect(stat(blob.path, &before) == 0)
            // Clocks of filesystems tick coarsely: asks until the next tick.
            var after = before
            while after.st_ctim.tv_nsec == before.st_ctim.tv_nsec && after.st_ctim.tv_sec == before.st_ctim.tv_sec {
                #expect(blobs.missing([blob.digest]).isEmpty)
                try #require(stat(blob.path, &after) == 0)
            }
            #expect(after.st_mtim.tv_nsec == before.st_mtim.tv_nsec, "the app must not see another file time")
        }
    }

    @Test(.enabled("needs the right to mount a tmpfs") { SmallDisk.isPossible })
    func aFullDiskIsToldAndLeavesNothing() async throws {
        try await SmallDisk.with(bytes: 1 << 20) { disk in
            let curl = CurlClient()
            defer { curl.close() }
            let blobs = try BlobStore(folder: "\(disk)/blobs", curl: curl)
            let content = [UInt8](repeating: 9, count: 4 << 20)
            let failure = try await error { try await blobs.add(Chunks([content]), digest: sha256(content)) }
            #expect(failure.code == .storageFull)
            #expect(try leftovers(disk).isEmpty)
            let small = try await blobs.add(Chunks(["still works"]), digest: sha256(Array("still works".utf8)))
            #expect(small.size == 11)
        }
    }
}
