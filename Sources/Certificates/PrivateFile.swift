import DeploymentCore
import Glibc
import HostDisk

/// Files that only their owner reads.
enum PrivateFile {
    static func makeFolder(_ path: String) throws(BerthError) {
        try Disk.makeFolder(path, mode: 0o700)
        guard chmod(path, 0o700) == 0 else { throw Disk.failure("protect", path) }
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

    static func write(_ text: String, to path: String) throws(BerthError) {
        try Disk.replace(path, with: Array(text.utf8))
    }

    static func remove(_ path: String) throws(BerthError) {
        guard unlink(path) == 0 || errno == ENOENT else { throw Disk.failure("remove", path) }
    }
}
