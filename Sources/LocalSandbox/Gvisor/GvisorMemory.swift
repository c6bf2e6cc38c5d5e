import Glibc

/// The memory of a sandbox on gVisor where no control group counts it.
///
/// What its processes use is kept in files without names, of which often only a part is mapped at a moment.
enum GvisorMemory {
    private static let prefix = "/memfd:"

    /// What processes hold, files in memory counted once, in bytes.
    static func bytes(heldBy processes: [Int32]) -> Int64 {
        var seen: Set<ino_t> = []
        var bytes: Int64 = 0
        for pid in processes {
            bytes += anonymous(pid)
            guard let folder = opendir("/proc/\(pid)/fd") else { continue }
            defer { closedir(folder) }
            while let row = readdir(folder) {
                let path = "/proc/\(pid)/fd/\(row.name)"
                guard let target = BubblewrapCommand.linkTarget(path), target.hasPrefix(prefix) else { continue }
                var status = stat()
                guard stat(path, &status) == 0, seen.insert(status.st_ino).inserted else { continue }
                bytes += Int64(status.st_blocks) * 512
            }
        }
        return bytes
    }

    /// Memory of a process that is nobody else's and in no file.
    private static func anonymous(_ pid: Int32) -> Int64 {
        let lines = KernelFile.text("/proc/\(pid)/smaps_rollup")?.split(separator: "\n") ?? []
        let words = lines.first { $0.hasPrefix("Pss_Anon:") }?.split(separator: " ") ?? []
        return words.count > 1 ? (Int64(words[1]) ?? 0) << 10 : 0
    }
}
