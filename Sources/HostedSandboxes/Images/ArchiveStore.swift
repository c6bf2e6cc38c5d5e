import Crypto
import DeploymentCore
import Dispatch
import Foundation
import Glibc

/// The files of images on the host: tar archives by their digest, each written as a whole or not at all.
public final class ArchiveStore: Sendable {
    /// The largest archive, in bytes.
    public static let maximumBytes: Int64 = 64 << 30
    private static let draftPrefix = ".new-"
    private static let suffix = ".tar"

    /// What was stored.
    public struct Archive: Sendable, Equatable {
        /// SHA-256 in lower-case hexadecimal digits.
        public var digest: String
        /// Its length.
        public var bytes: Int64
    }

    /// The folder, of this user alone.
    public let folder: String
    private let limit: Int64
    private let write: @Sendable (Int32, UnsafeRawBufferPointer) -> Int
    /// Archives that somebody uses who is not in the database yet.
    private let pins = Locked<[String: Int]>([:])

    /// Creates a store; the folder is made when something is written.
    public convenience init(folder: String) {
        self.init(folder: folder, limit: Self.maximumBytes) { Glibc.write($0, $1.baseAddress, $1.count) }
    }

    /// - Parameter write: write(2), or what fails as it does.
    init(folder: String, limit: Int64, write: @escaping @Sendable (Int32, UnsafeRawBufferPointer) -> Int) {
        self.folder = folder
        self.limit = limit
        self.write = write
    }

    /// Where an archive is, whether it exists or not.
    public func path(of digest: String) -> String { "\(folder)/\(digest)\(Self.suffix)" }

    /// Whether an archive is there.
    public func contains(_ digest: String) -> Bool { access(path(of: digest), R_OK) == 0 }

    /// Stores what `fill` delivers, pinned: it is not removed before `unpin`.
    ///
    /// - Throws: what `fill` throws; `storage_full` when the disk is full, `too_large` over the limit. Nothing is left.
    public func store(
        _ fill: (_ deliver: ([UInt8]) throws -> Void) async throws -> Void
    ) async throws -> Archive {
        let draft = try Draft(folder: folder, prefix: Self.draftPrefix)
        do {
            var hash = SHA256()
            var length: Int64 = 0
            try await fill { bytes in
                length += Int64(bytes.count)
                guard length <= self.limit else {
                    throw BerthError(.tooLarge, "the files of the image are larger than \(self.limit) bytes")
                }
                hash.update(data: bytes)
                try draft.append(bytes, self.write)
            }
            let digest = hash.finalize().map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
            try await Self.blocking { try draft.seal() }
            pin(digest)
            do {
                try draft.publish(as: path(of: digest))
            } catch {
                unpin(digest)
                throw error
            }
            return Archive(digest: digest, bytes: length)
        } catch {
            draft.discard()
            throw error
        }
    }

    /// Keeps an archive from being removed.
    public func pin(_ digest: String) { pins.withLock { $0[digest, default: 0] += 1 } }

    /// Ends one `pin`.
    public func unpin(_ digest: String) {
        pins.withLock { pins in
            let count = (pins[digest] ?? 0) - 1
            pins[digest] = count > 0 ? count : nil
        }
    }

    /// Removes archives that nobody uses: neither pinned nor named by `referenced`, which is asked with pins held.
    public func remove(_ digests: some Sequence<String>, unless referenced: () throws -> Set<String>) rethrows {
        try pins.withLock { pins in
            let kept = try referenced()
            for digest in Set(digests) where pins[digest] == nil && !kept.contains(digest) {
                unlink(path(of: digest))
            }
        }
    }

    /// Removes drafts and what nobody refers to; for the start, before anybody writes.
    public func sweep(keeping referenced: Set<String>) {
        for name in (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [] {
            if name.hasPrefix(Self.draftPrefix) {
                unlink("\(folder)/\(name)")
            } else if name.hasSuffix(Self.suffix), !referenced.contains(String(name.dropLast(Self.suffix.count))) {
                unlink("\(folder)/\(name)")
            }
        }
    }

    /// Runs what may take its time on a disk.
    static func blocking<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
        try await withCheckedThrowingContinuation { continuation in
            DispatchQueue.global().async { continuation.resume(with: Swift.Result { try body() }) }
        }
    }
}

/// A file that is being written, under a name that nobody looks for.
final class Draft: Sendable {
    private let path: String
    private let descriptor: Int32

    init(folder: String, prefix: String) throws {
        do {
            try FileManager.default.createDirectory(
                atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch {
            throw BerthError(.sandbox, "the folder \(folder) cannot be made", cause: error)
        }
        path = "\(folder)/\(prefix)\(UUID().uuidString.lowercased())"
        descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw Self.failure("a file in \(folder) cannot be made") }
    }

    deinit { close(descriptor) }

    func append(_ bytes: [UInt8], _ write: (Int32, UnsafeRawBufferPointer) -> Int) throws {
        try bytes.withUnsafeBytes { buffer in
            var rest = buffer[...]
            while !rest.isEmpty {
                let count = write(descriptor, UnsafeRawBufferPointer(rebasing: rest))
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { throw Self.failure("the files of the image cannot be stored") }
                rest = rest.dropFirst(count)
            }
        }
    }

    func seal() throws {
        guard fsync(descriptor) == 0 else { throw Self.failure("the files of the image cannot be stored") }
    }

    func publish(as name: String) throws {
        guard rename(path, name) == 0 else { throw Self.failure("the files of the image cannot be stored") }
        let folder = open(
            String(name[..<(name.lastIndex(of: "/") ?? name.endIndex)]), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folder >= 0 else { return }
        fsync(folder)
        close(folder)
    }

    func discard() { unlink(path) }

    private static func failure(_ message: String) -> BerthError {
        let number = errno
        let code: BerthError.Code = number == ENOSPC || number == EDQUOT ? .storageFull : .sandbox
        return BerthError(code, "\(message): \(String(cString: strerror(number)))")
    }
}
