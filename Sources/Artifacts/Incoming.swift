import Crypto
import DeploymentCore
import Glibc
import HostDisk

/// A file that is being written, and its hash so far; removed unless it is finished. One writer at a time.
final class Incoming: @unchecked Sendable {
    private let file: Int32
    private let path: String
    private let limit: Int64
    private var hasher = SHA256()
    private var size: Int64 = 0

    init(folder: String, limit: Int64) throws(BerthError) {
        self.limit = limit
        path = "\(folder)/incoming/\(getpid())-\(UInt64.random(in: 0 ... .max))"
        file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw Disk.failure("write", path) }
    }

    deinit {
        close(file)
        unlink(path)
    }

    func append(_ bytes: [UInt8]) throws {
        try Task.checkCancellation()
        size += Int64(bytes.count)
        guard size <= limit else { throw BerthError(.tooLarge, "the content is larger than \(limit) bytes") }
        bytes.withUnsafeBytes { hasher.update(bufferPointer: $0) }
        try Disk.write(bytes, to: file, path)
    }

    func finish(
        _ store: BlobStore, expected: String?, _ mismatch: (_ actual: String, _ expected: String) -> String
    ) throws(BerthError) -> Blob {
        let digest = hasher.finalize().hex
        if let expected, expected != digest { throw BerthError(.artifact, mismatch(digest, expected)) }
        return try store.publish(file, at: path, digest: digest, size: size)
    }
}
