import Crypto
import DeploymentCore
import Foundation
import Glibc

/// File operations that survive a crash, and the one way a full disk is told.
enum Disk {
    /// How much is read and hashed at a time, in bytes.
    static let chunkSize = 1 << 20

    /// The error of a system call that has just failed on `path`.
    static func failure(_ doing: String, _ path: String, code: BerthError.Code = .internalError) -> BerthError {
        let number = errno
        if number == ENOSPC || number == EDQUOT {
            return BerthError(
                .storageFull, "no space left for \(path)", suggestion: "free some space and try again")
        }
        return BerthError(code, "cannot \(doing) \(path): \(String(cString: strerror(number)))")
    }

    static func makeFolder(_ path: String) throws(BerthError) {
        if mkdir(path, 0o755) == 0 || errno == EEXIST { return }
        guard errno == ENOENT, path.count > 1 else { throw failure("make the folder", path) }
        try makeFolder(path.parentPath)
        guard mkdir(path, 0o755) == 0 || errno == EEXIST else { throw failure("make the folder", path) }
    }

    static func syncFolder(_ path: String) throws(BerthError) {
        let file = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard file >= 0 else { throw failure("open", path) }
        defer { close(file) }
        guard fsync(file) == 0 else { throw failure("sync", path) }
    }

    static func write(_ bytes: [UInt8], to file: Int32, _ path: String) throws(BerthError) {
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.write(file, $0.baseAddress?.advanced(by: written), $0.count - written)
            }
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw failure("write", path) }
            written += count
        }
    }

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

    /// Writes a small file beside its place and renames it.
    static func replace(_ path: String, with bytes: [UInt8]) throws(BerthError) {
        let temporary = "\(path).tmp-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        let file = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw failure("write", path) }
        defer { unlink(temporary) }
        do {
            try write(bytes, to: file, path)
        } catch {
            close(file)
            throw error
        }
        guard close(file) == 0, rename(temporary, path) == 0 else { throw failure("write", path) }
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

    /// Makes the age of a path's last change 0, its content's time untouched; false when it is gone.
    @discardableResult static func touch(_ path: String) -> Bool {
        // UTIME_NOW and UTIME_OMIT, which Swift does not see: setting the access time alone changes `ctime`.
        let times = [timespec(tv_sec: 0, tv_nsec: (1 << 30) - 1), timespec(tv_sec: 0, tv_nsec: (1 << 30) - 2)]
        return utimensat(AT_FDCWD, path, times, 0) == 0 || errno != ENOENT
    }

    /// The age of a path's last change in seconds; nil when it is gone.
    static func age(_ path: String) -> Int? {
        var status = stat()
        guard lstat(path, &status) == 0 else { return nil }
        return time(nil) - status.st_ctim.tv_sec
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
