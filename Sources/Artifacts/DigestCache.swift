import Crypto
import DeploymentCore
import Foundation
import Glibc
import HostDisk

/// Digests of files that have not changed since they were hashed: same path, inode, size, mtime and ctime.
///
/// It only saves hashing. What is deployed is the blob of that digest, whose content was hashed when it was written, so
/// a wrong entry can never pass off other bytes as a pinned file.
public final class DigestCache: Sendable {
    /// The most files remembered; the least recently added go first.
    public static let entryLimit = 50_000
    /// Younger files could change again without a new timestamp; in seconds.
    static let settledSeconds = 2

    private struct State {
        var entries: [String: (stamp: String, digest: String)] = [:]
        var isChanged = false
    }

    private let file: String
    private let settledSeconds: Int
    private let state: Locked<State>

    /// Reads `file` (`$BERTH_HOME/cache/digests.json`); a missing or damaged one is an empty cache.
    public convenience init(file: String) { self.init(file: file, settledSeconds: Self.settledSeconds) }

    init(file: String, settledSeconds: Int) {
        self.file = file
        self.settledSeconds = settledSeconds
        var state = State()
        let data = (try? Data(contentsOf: URL(fileURLWithPath: file))) ?? Data()
        for (path, entry) in (try? JSONValue(parsing: data))?.object ?? [:] {
            guard let stamp = entry["stamp"]?.string, let digest = entry["sha256"]?.string else { continue }
            state.entries[path] = (stamp, digest)
        }
        self.state = Locked(state)
    }

    /// Writes what was learned, atomically.
    public func save() throws(BerthError) {
        let entries = state.withLock { state -> [String: JSONValue]? in
            guard state.isChanged else { return nil }
            state.isChanged = false
            if state.entries.count > Self.entryLimit {
                state.entries = Dictionary(uniqueKeysWithValues: state.entries.suffix(Self.entryLimit).map { ($0, $1) })
            }
            return state.entries.mapValues { ["stamp": .string($0.stamp), "sha256": .string($0.digest)] }
        }
        guard let entries else { return }
        try Disk.makeFolder(file.parentPath)
        try Disk.replace(file, with: JSONValue.object(entries).encoded(), isSynced: false)
    }

    /// The digest and size of a regular file, hashed now unless it is known.
    func digest(of path: String) throws -> (sha256: String, size: Int64, executable: Bool) {
        let opened = try Disk.openRegular(path)
        defer { close(opened) }
        var status = stat()
        guard fstat(opened, &status) == 0 else { throw Disk.failure("read", path) }
        let executable = status.st_mode & 0o111 != 0
        let stamp = Self.stamp(status)
        if let known = state.withLock({ $0.entries[path] }), known.stamp == stamp {
            return (known.digest, Int64(status.st_size), executable)
        }
        let (hasher, size) = try Disk.hash(opened, path)
        let digest = hasher.finalize().hex
        var after = stat()
        let isSettled =
            fstat(opened, &after) == 0 && Self.stamp(after) == stamp
            && time(nil) - max(status.st_ctim.tv_sec, status.st_mtim.tv_sec) >= settledSeconds
        if isSettled {
            state.withLock { state in
                state.entries[path] = (stamp, digest)
                state.isChanged = true
            }
        }
        return (digest, size, executable)
    }

    private static func stamp(_ status: stat) -> String {
        """
        \(status.st_dev):\(status.st_ino):\(status.st_size):\(status.st_mtim.tv_sec).\(status.st_mtim.tv_nsec):\
        \(status.st_ctim.tv_sec).\(status.st_ctim.tv_nsec)
        """
    }
}
