import DeploymentCore
import Glibc

/// File operations of this machine that survive a crash, and the one way a full disk is told.
public enum Disk {
    /// What is thrown when the disk, or the user's quota, is used up.
    public static func full(_ path: String, cause: (any Error)? = nil) -> BerthError {
        BerthError(.storageFull, "no space left for \(path)", suggestion: "free some space and try again", cause: cause)
    }

    /// The error of a system call that has just failed on `path`: `storage_full`, or else `code`.
    public static func failure(
        _ doing: String, _ path: String, code: BerthError.Code = .internalError
    ) -> BerthError {
        let number = errno
        if number == ENOSPC || number == EDQUOT { return full(path) }
        return BerthError(code, "cannot \(doing) \(path): \(String(cString: strerror(number)))")
    }

    /// Makes a folder and those above it, all with `mode`; one that is there stays as it is.
    public static func makeFolder(_ path: String, mode: mode_t = 0o755) throws(BerthError) {
        if mkdir(path, mode) == 0 || errno == EEXIST { return }
        guard errno == ENOENT, path.count > 1 else { throw failure("make the folder", path) }
        try makeFolder(path.parentPath, mode: mode)
        guard mkdir(path, mode) == 0 || errno == EEXIST else { throw failure("make the folder", path) }
    }

    /// Writes through to the disk which names a folder has.
    public static func syncFolder(_ path: String) throws(BerthError) {
        let folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folder >= 0 else { throw failure("open", path) }
        defer { close(folder) }
        guard fsync(folder) == 0 else { throw failure("sync", path) }
    }

    /// Writes all bytes to an open file; `path` is what errors call it.
    public static func write(_ bytes: [UInt8], to file: Int32, _ path: String) throws(BerthError) {
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

    /// Writes a small file beside its place and renames it: whoever looks sees the old one or the new one.
    ///
    /// - Parameter isSynced: whether the content is on the disk before the name is, so that it survives a loss of power.
    public static func replace(
        _ path: String, with bytes: [UInt8], mode: mode_t = 0o600, isSynced: Bool = true
    ) throws(BerthError) {
        try draft(of: path, bytes, mode, isSynced) { rename($0, path) == 0 }
    }

    /// Makes a small file whole or not at all; one that is there already stays.
    public static func make(_ path: String, with bytes: [UInt8], mode: mode_t = 0o600) throws(BerthError) {
        try draft(of: path, bytes, mode, true) { link($0, path) == 0 || errno == EEXIST }
    }

    private static func draft(
        of path: String, _ bytes: [UInt8], _ mode: mode_t, _ isSynced: Bool, place: (String) -> Bool
    ) throws(BerthError) {
        let draft = "\(path).tmp-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        let file = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
        guard file >= 0 else { throw failure("write", path) }
        defer { unlink(draft) }
        do throws(BerthError) {
            try write(bytes, to: file, path)
            guard !isSynced || fsync(file) == 0 else { throw failure("write", path) }
        } catch {
            close(file)
            throw error
        }
        guard close(file) == 0, place(draft) else { throw failure("write", path) }
    }

    /// Makes the age of a path's last change 0, its content's time untouched; false when it is gone.
    @discardableResult public static func touch(_ path: String) -> Bool {
        // UTIME_NOW and UTIME_OMIT, which Swift does not see: setting the access time alone changes `ctime`.
        let times = [timespec(tv_sec: 0, tv_nsec: (1 << 30) - 1), timespec(tv_sec: 0, tv_nsec: (1 << 30) - 2)]
        return utimensat(AT_FDCWD, path, times, 0) == 0 || errno != ENOENT
    }

    /// The age of a path's last change in seconds; nil when it is gone.
    public static func age(_ path: String) -> Int? {
        var status = stat()
        guard lstat(path, &status) == 0 else { return nil }
        return time(nil) - status.st_ctim.tv_sec
    }
}
