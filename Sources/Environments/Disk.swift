import DeploymentCore
import Foundation
import Glibc

/// File operations that survive a crash, and the one way a full disk is told.
enum Disk {
    /// Whether a program's text says that the disk, or the user's quota, is used up.
    static func isFull(_ text: String) -> Bool {
        text.contains("No space left on device") || text.contains("os error 28") || text.contains("Disk quota exceeded")
    }

    static func full(_ path: String, cause: (any Error)? = nil) -> BerthError {
        BerthError(.storageFull, "no space left for \(path)", suggestion: "free some space and try again", cause: cause)
    }

    /// The error of the last system call on `path`.
    static func failure(_ doing: String, _ path: String) -> BerthError {
        let number = errno
        if number == ENOSPC || number == EDQUOT { return full(path) }
        return BerthError(.internalError, "cannot \(doing) \(path): \(String(cString: strerror(number)))")
    }

    static func makeFolder(_ path: String) throws(BerthError) {
        do {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        } catch {
            throw BerthError(.internalError, "cannot make the folder \(path)", cause: error)
        }
    }

    /// Writes beside the target and renames over it.
    static func write(_ text: String, to path: String) throws(BerthError) {
        let temporary = "\(path).tmp-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        let file = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        guard file >= 0 else { throw failure("write", path) }
        defer { unlink(temporary) }
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else {
                defer { close(file) }
                throw failure("write", path)
            }
            bytes = bytes.dropFirst(count)
        }
        let synced = fsync(file)
        guard close(file) == 0, synced == 0, rename(temporary, path) == 0 else { throw failure("write", path) }
    }

    /// Writes everything on the filesystem of `path` through to the disk.
    static func sync(filesystemOf path: String) throws(BerthError) {
        let folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folder >= 0 else { throw failure("open", path) }
        defer { close(folder) }
        // glibc declares `syncfs` for GNU sources only, which Swift's module does not see.
        typealias SyncFilesystem = @convention(c) (Int32) -> Int32
        guard let symbol = dlsym(nil, "syncfs") else { return Glibc.sync() }
        guard unsafeBitCast(symbol, to: SyncFilesystem.self)(folder) == 0 else { throw failure("sync", path) }
    }

    static func syncFolder(_ path: String) throws(BerthError) {
        let folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folder >= 0 else { throw failure("open", path) }
        defer { close(folder) }
        guard fsync(folder) == 0 else { throw failure("sync", path) }
    }

    /// Sets the mode of a folder and all folders in it; links are not followed.
    static func setFolderModes(_ path: String, _ mode: mode_t) {
        chmod(path, 0o755)
        guard let names = try? FileManager.default.contentsOfDirectory(atPath: path) else { return }
        for name in names where isFolder("\(path)/\(name)") { setFolderModes("\(path)/\(name)", mode) }
        chmod(path, mode)
    }

    /// Lets everyone read what its owner can, which the mask of whoever made it forbade: users inside a sandbox are
    /// not that owner. The folders above keep others out. Links are not followed.
    static func openForOthers(_ path: String) {
        var status = stat()
        guard lstat(path, &status) == 0, status.st_mode & S_IFMT != S_IFLNK else { return }
        let wanted = status.st_mode | (status.st_mode & 0o500) >> 3 | (status.st_mode & 0o500) >> 6
        if wanted != status.st_mode { chmod(path, wanted & 0o7777) }
        guard status.st_mode & S_IFMT == S_IFDIR,
            let names = try? FileManager.default.contentsOfDirectory(atPath: path)
        else { return }
        for name in names { openForOthers("\(path)/\(name)") }
    }

    /// Whether others than its owner may read a file.
    static func isOpenForOthers(_ path: String) -> Bool {
        var status = stat()
        return lstat(path, &status) == 0 && status.st_mode & 0o004 != 0
    }

    /// Removes a folder although its folders are not writable; what cannot be removed now stays for the next time.
    static func remove(_ path: String) {
        guard isFolder(path) else {
            unlink(path)
            return
        }
        setFolderModes(path, 0o755)
        try? FileManager.default.removeItem(atPath: path)
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

    static func isFolder(_ path: String) -> Bool {
        var status = stat()
        return lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }
}

/// Runs blocking work on a thread of its own queue, off the pool that Swift tasks share.
func blocking<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        DispatchQueue.global().async { continuation.resume(with: Result { try body() }) }
    }
}
