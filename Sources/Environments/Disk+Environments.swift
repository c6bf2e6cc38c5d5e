import DeploymentCore
import Foundation
import Glibc
import HostDisk

/// What environments need of the disk besides.
extension Disk {
    /// Whether a program's text says that the disk, or the user's quota, is used up.
    static func isFull(_ text: String) -> Bool {
        text.contains("No space left on device") || text.contains("os error 28") || text.contains("Disk quota exceeded")
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
