import DeploymentCore
import Glibc

/// What a folder takes on disk, measured without following anything that its hostile owner put there.
struct DiskUsage: Sendable, Equatable {
    /// The deepest folder that is looked into; each level holds one descriptor.
    static let maximumDepth = 64

    /// Bytes of all blocks; files with several names count once for each.
    var bytes: Int64 = 0
    /// Files and folders seen.
    var entries = 0
    /// Whether something was not looked into: too many entries, too deep, or no permission.
    var isPartial = false

    /// Measures a folder and everything below it on the same file system, up to a number of entries.
    static func measure(_ path: String, maximumEntries: Int) -> DiskUsage {
        var usage = DiskUsage()
        guard let folder = try? Descriptor(opening: path, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW) else {
            usage.isPartial = true
            return usage
        }
        var status = stat()
        guard fstat(folder.number, &status) == 0 else { return usage }
        usage.walk(folder, device: status.st_dev, depth: 0, limit: maximumEntries)
        return usage
    }

    private mutating func walk(_ folder: Descriptor, device: dev_t, depth: Int, limit: Int) {
        let copy = fcntl(folder.number, F_DUPFD_CLOEXEC, 0)
        guard copy >= 0, let stream = fdopendir(copy) else {
            if copy >= 0 { close(copy) }
            isPartial = true
            return
        }
        defer { closedir(stream) }
        while let row = readdir(stream) {
            let name = row.bytes
            if name == [0x2E, 0] || name == [0x2E, 0x2E, 0] { continue }
            guard entries < limit else {
                isPartial = true
                return
            }
            entries += 1
            var status = stat()
            guard fstatat(folder.number, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else { continue }
            guard status.st_dev == device else { continue }
            bytes += Int64(status.st_blocks) * 512
            guard status.st_mode & S_IFMT == S_IFDIR else { continue }
            guard depth < Self.maximumDepth else {
                isPartial = true
                continue
            }
            let number = openat(folder.number, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
            guard number >= 0 else {
                isPartial = true
                continue
            }
            walk(Descriptor(number), device: device, depth: depth + 1, limit: limit)
        }
    }

    /// The bytes that are left on the file system of a folder.
    static func free(_ path: String) -> Int64 {
        var system = statvfs()
        guard statvfs(path, &system) == 0 else { return 0 }
        return Int64(system.f_bavail) * Int64(system.f_frsize)
    }

    /// The bytes of files that processes still hold open although they have no name any more.
    static func nameless(heldBy processes: [Int32], like path: String) -> Int64 {
        var home = stat()
        guard lstat(path, &home) == 0 else { return 0 }
        var seen: Set<ino_t> = []
        var bytes: Int64 = 0
        for pid in processes {
            guard let folder = opendir("/proc/\(pid)/fd") else { continue }
            defer { closedir(folder) }
            while let row = readdir(folder) {
                var status = stat()
                guard stat("/proc/\(pid)/fd/\(row.name)", &status) == 0, status.st_nlink == 0,
                    status.st_dev == home.st_dev, status.st_mode & S_IFMT == S_IFREG,
                    seen.insert(status.st_ino).inserted
                else { continue }
                bytes += Int64(status.st_blocks) * 512
            }
        }
        return bytes
    }
}
