import DeploymentCore
import Glibc
import HostDisk

/// A lock that other processes see and that the kernel frees when its holder dies.
struct FolderLock: ~Copyable {
    /// How often a lock held by another process is asked for again.
    static let pollInterval = Duration.milliseconds(50)

    private let file: Int32

    deinit { close(file) }

    /// Takes the lock if it is free.
    static func tryTake(_ path: String) throws(BerthError) -> FolderLock? {
        let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw Disk.failure("lock", path) }
        if flock(file, LOCK_EX | LOCK_NB) == 0 { return FolderLock(file: file) }
        close(file)
        return nil
    }

    /// Waits for the lock for at most `timeout`; `onWait` runs once when it is held by somebody else.
    static func take(_ path: String, timeout: Duration, onWait: () -> Void) async throws -> FolderLock {
        let deadline = ContinuousClock.now + timeout
        var told = false
        while true {
            if let lock = try tryTake(path) { return lock }
            if !told { onWait() }
            told = true
            guard ContinuousClock.now < deadline else {
                throw BerthError(.timeout, "another process has held \(path) for \(timeout.components.seconds) s")
            }
            try await Task.sleep(for: pollInterval)
        }
    }
}
