import Crypto
import CurlClient
import DeploymentCore
import Foundation
import Glibc
import HostDisk

/// Files by their sha256: written once, never changed, shared read-only by everything that needs them.
///
/// A blob is either absent or complete and on the disk: it is written under another name, synced and renamed.
public struct BlobStore: Sendable {
    /// The largest blob, in bytes: 64 GiB.
    public static let defaultLimit: Int64 = 64 << 30
    /// How long something that nobody refers to yet survives a collection, in seconds.
    public static let graceSeconds = 3_600

    let folder: String
    let limit: Int64
    let curl: CurlClient

    /// Keeps blobs in `folder` (`$BERTH_HOME/blobs`), made if it is missing; none is larger than `limit` bytes.
    public init(folder: String, curl: CurlClient, limit: Int64 = defaultLimit) throws(BerthError) {
        self.folder = folder
        self.limit = limit
        self.curl = curl
        for name in ["sha256", "incoming", "downloads"] { try Disk.makeFolder("\(folder)/\(name)") }
    }

    /// The blob's file; nil when it is not there.
    public func path(of digest: String) -> String? {
        guard let path = place(of: digest), access(path, R_OK) == 0 else { return nil }
        return path
    }

    /// The blob; nil when it is not there.
    public func blob(_ digest: String) -> Blob? {
        var status = stat()
        guard let path = place(of: digest), stat(path, &status) == 0 else { return nil }
        return Blob(digest: digest, size: Int64(status.st_size), path: path)
    }

    /// Those of `digests` that are not here, in their order; the others survive collections for `graceSeconds` more.
    public func missing(_ digests: [String]) -> [String] {
        digests.filter { claim($0) == nil }
    }

    /// The blob, young again, so that a collection leaves it alone until somebody refers to it.
    func claim(_ digest: String) -> Blob? {
        guard let path = path(of: digest), Disk.touch(path) else { return nil }
        return blob(digest)
    }

    /// Copies a file in, hashing it on the way; nothing is written when `expected` is already here.
    ///
    /// - Throws: `artifact` when the content is not the expected one (naming both digests) or no regular file,
    ///   `too_large`, `storage_full`.
    public func add(path: String, expected: String? = nil) async throws -> Blob {
        if let expected, let known = claim(expected) { return known }
        return try await blocking {
            let source = try Disk.openRegular(path)
            defer { close(source) }
            let incoming = try Incoming(folder: folder, limit: limit)
            while true {
                let bytes = try Disk.read(source, path)
                if bytes.isEmpty { break }
                try incoming.append(bytes)
            }
            return try incoming.finish(self, expected: expected) { "\(path) has sha256 \($0), but \($1) is expected" }
        }
    }

    /// Takes an upload in.
    ///
    /// - Parameters:
    ///   - chunks: The content; not read when the blob is already here.
    ///   - digest: What the sender announced.
    ///   - limit: The most bytes; nil takes the store's own limit.
    /// - Throws: `artifact` naming both digests, `too_large`, `storage_full`, and what `chunks` throws.
    public func add<Chunks: AsyncSequence & Sendable>(
        _ chunks: Chunks, digest: String, limit: Int64? = nil
    ) async throws -> Blob where Chunks.Element == [UInt8] {
        guard place(of: digest) != nil else {
            throw BerthError(.artifact, "`\(digest.prefix(80))` is not a sha256 of 64 lower-case hex digits")
        }
        if let known = claim(digest) { return known }
        let incoming = try Incoming(folder: folder, limit: min(limit ?? self.limit, self.limit))
        for try await chunk in chunks { try incoming.append(chunk) }
        return try await blocking {
            try incoming.finish(self, expected: digest) { "the upload has sha256 \($0), but was announced as \($1)" }
        }
    }

    /// Reads a blob again and tells whether it still has its digest.
    public func verify(_ digest: String) async throws -> Bool {
        guard let path = path(of: digest) else { return false }
        return try await blocking {
            let file = try Disk.openRegular(path)
            defer { close(file) }
            return try Disk.hash(file, path).hasher.finalize().hex == digest
        }
    }

    /// Removes blobs that are not in `keeping` and unfinished files, unless they changed within `graceSeconds`.
    ///
    /// Returns the removed digests.
    @discardableResult public func collectGarbage(
        keeping: Set<String>, graceSeconds: Int = graceSeconds
    ) -> [String] {
        var removed: [String] = []
        func isOld(_ path: String) -> Bool { (Disk.age(path) ?? 0) >= graceSeconds }
        for group in Disk.names(in: "\(folder)/sha256") {
            for name in Disk.names(in: "\(folder)/sha256/\(group)") where !keeping.contains(name) {
                let path = "\(folder)/sha256/\(group)/\(name)"
                guard isOld(path), unlink(path) == 0 else { continue }
                removed.append(name)
            }
        }
        for name in Disk.names(in: "\(folder)/incoming") where isOld("\(folder)/incoming/\(name)") {
            unlink("\(folder)/incoming/\(name)")
        }
        Download.removeOld(in: "\(folder)/downloads")
        return removed
    }

    /// Where a blob lies; nil when that is no digest, so that nothing else becomes a path.
    func place(of digest: String) -> String? {
        guard Self.isDigest(digest) else { return nil }
        return "\(folder)/sha256/\(digest.prefix(2))/\(digest)"
    }

    static func isDigest(_ text: String) -> Bool {
        text.utf8.count == 64 && text.utf8.allSatisfy { (48...57).contains($0) || (97...102).contains($0) }
    }

    /// Puts a complete file in its place: synced, read-only, then renamed.
    func publish(_ file: Int32, at temporary: String, digest: String, size: Int64) throws(BerthError) -> Blob {
        guard let place = place(of: digest) else { throw BerthError(.internalError, "\(digest) is not a digest") }
        let group = place.parentPath
        try Disk.makeFolder(group)
        if let known = claim(digest) {
            unlink(temporary)
            return known
        }
        guard fchmod(file, 0o444) == 0, fsync(file) == 0 else { throw Disk.failure("write", place) }
        guard rename(temporary, place) == 0 else { throw Disk.failure("write", place) }
        try Disk.syncFolder(group)
        return Blob(digest: digest, size: size, path: place)
    }
}
