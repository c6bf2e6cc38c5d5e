import Crypto
import DeploymentCore
import Foundation
import Glibc
import HostDisk

/// What artifacts need of the disk besides.
extension Disk {
    /// How much is read and hashed at a time, in bytes.
    static let chunkSize = 1 << 20

    /// The next bytes of a file; empty at its end.
    static func read(_ file: Int32, _ path: String) throws(BerthError) -> [UInt8] {
        while true {
            var number: Int32 = 0
            var count = 0
            let bytes = [UInt8](unsafeUninitializedCapacity: chunkSize) { buffer, initialized in
                count = Glibc.read(file, buffer.baseAddress, buffer.count)
                number = errno
                initialized = max(count, 0)
            }
            if count < 0 && number == EINTR { continue }
            errno = number
            guard count >= 0 else { throw failure("read", path, code: .artifact) }
            return bytes
        }
    }

    /// Opens a regular file for reading; anything else is refused without waiting for its other side.
    static func openRegular(_ path: String) throws(BerthError) -> Int32 {
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
        guard file >= 0 else { throw failure("read", path, code: .artifact) }
        var status = stat()
        guard fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            close(file)
            throw BerthError(.artifact, "\(path) is not a regular file")
        }
        return file
    }

    /// Hashes a file from its current position to its end.
    static func hash(_ file: Int32, _ path: String) throws -> (hasher: SHA256, size: Int64) {
        var hasher = SHA256()
        var size: Int64 = 0
        while true {
            try Task.checkCancellation()
            let bytes = try read(file, path)
            if bytes.isEmpty { return (hasher, size) }
            bytes.withUnsafeBytes { hasher.update(bufferPointer: $0) }
            size += Int64(bytes.count)
        }
    }

    static func remove(_ path: String) {
        if unlink(path) != 0 { try? FileManager.default.removeItem(atPath: path) }
    }

    /// Changes whenever a file is written or replaced; nil when it is not there.
    static func stamp(_ path: String) -> String? {
        var status = stat()
        guard lstat(path, &status) == 0 else { return nil }
        return "\(status.st_ino):\(status.st_ctim.tv_sec).\(status.st_ctim.tv_nsec)"
    }

    /// Whether a path still leads to an open file.
    static func isSame(_ file: Int32, _ path: String) -> Bool {
        var (opened, named) = (stat(), stat())
        guard fstat(file, &opened) == 0, lstat(path, &named) == 0 else { return false }
        return opened.st_dev == named.st_dev && opened.st_ino == named.st_ino
    }

    static func size(_ file: Int32) -> Int64 {
        var status = stat()
        return fstat(file, &status) == 0 ? Int64(status.st_size) : 0
    }

    static func isFolder(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    static func names(in folder: String) -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).sorted()
    }
}

/// Runs blocking work off the pool that Swift tasks share; cancelling the task is seen by `Task.checkCancellation`.
func blocking<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    try Task.checkCancellation()
    return try await withCheckedThrowingContinuation { continuation in
        DispatchQueue.global().async { continuation.resume(with: Result { try body() }) }
    }
}

extension Digest {
    /// Lower-case hex digits.
    var hex: String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}
