import DeploymentCore
import Foundation
import Glibc

/// Files that only their owner reads.
enum PrivateFile {
    static func makeFolder(_ path: String) throws(BerthError) {
        do {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch {
            throw BerthError(.internalError, "cannot make the folder \(path)", cause: error)
        }
        guard chmod(path, 0o700) == 0 else { throw failure("protect", path) }
    }

    /// - Throws: `usage` when it cannot be read or is too large to be one of these.
    static func read(_ path: String) throws(BerthError) -> String {
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard file >= 0 else { throw BerthError(.usage, "cannot read \(path): \(String(cString: strerror(errno)))") }
        defer { close(file) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16 * 1024)
        while true {
            let count = Glibc.read(file, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else {
                throw BerthError(.usage, "cannot read \(path): \(String(cString: strerror(errno)))")
            }
            if count == 0 { break }
            bytes += chunk.prefix(count)
            guard bytes.count <= CertificateStore.maximumFile else {
                throw BerthError(.usage, "\(path) is too large for a certificate or a key")
            }
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw BerthError(.usage, "\(path) is not text")
        }
        return text
    }

    /// Writes beside the target and renames over it.
    static func write(_ text: String, to path: String) throws(BerthError) {
        let temporary = "\(path).tmp-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        let file = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw failure("write", path) }
        defer { unlink(temporary) }
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else {
                defer { close(file) }
                throw failure("write", path)
            }
            bytes = bytes.dropFirst(count)
        }
        let synced = fsync(file)
        guard close(file) == 0, synced == 0, rename(temporary, path) == 0 else { throw failure("write", path) }
    }

    static func remove(_ path: String) throws(BerthError) {
        guard unlink(path) == 0 || errno == ENOENT else { throw failure("remove", path) }
    }

    private static func failure(_ doing: String, _ path: String) -> BerthError {
        let number = errno
        if number == ENOSPC || number == EDQUOT {
            return BerthError(.storageFull, "no space left for \(path)", suggestion: "free some space and try again")
        }
        return BerthError(.internalError, "cannot \(doing) \(path): \(String(cString: strerror(number)))")
    }
}
