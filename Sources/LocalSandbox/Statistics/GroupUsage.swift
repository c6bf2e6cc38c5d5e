extension SandboxGroup {
    /// Processor time so far, in seconds; nil when no group counts it.
    var cpuSeconds: Double? {
        if let unified, let used = KernelFile.number("usage_usec", in: "\(unified.path)/cpu.stat") {
            return Double(used) / 1_000_000
        }
        guard let folder = folder(.cpuacct), let used = KernelFile.number("\(folder.path)/cpuacct.usage") else {
            return nil
        }
        return Double(used) / 1_000_000_000
    }

    /// Memory in bytes, without pages that the kernel would drop first, since they are on a disk as well; nil when no
    /// group counts it.
    var memoryBytes: Int64? {
        guard let folder = folder(.memory) else { return nil }
        let (file, prefix) = folder.version == 2 ? ("memory.current", "") : ("memory.usage_in_bytes", "total_")
        guard let all = KernelFile.number("\(folder.path)/\(file)") else { return nil }
        let onDisk = ["inactive_file", "swapcached"].compactMap {
            KernelFile.number(prefix + $0, in: "\(folder.path)/memory.stat")
        }
        return max(0, all - onDisk.reduce(0, +))
    }

    /// Copies of files in memory, in bytes; nil when no group counts it.
    var memoryCacheBytes: Int64? {
        guard let folder = folder(.memory) else { return nil }
        return KernelFile.number(folder.version == 2 ? "file" : "total_cache", in: "\(folder.path)/memory.stat")
    }

    /// The most memory so far, in bytes; nil when no group counts it.
    var memoryPeakBytes: Int64? {
        guard let folder = folder(.memory) else { return nil }
        return KernelFile.number(
            "\(folder.path)/\(folder.version == 2 ? "memory.peak" : "memory.max_usage_in_bytes")")
    }

    /// How often the kernel killed for memory; nil when no group counts it.
    var memoryKills: Int? {
        guard let folder = folder(.memory) else { return nil }
        let file = folder.version == 2 ? "memory.events" : "memory.oom_control"
        return KernelFile.number("oom_kill", in: "\(folder.path)/\(file)").map { Int($0) }
    }

    /// How often a process could not be started; nil when no group counts it.
    var refusedProcesses: Int? {
        guard let folder = folder(.pids) else { return nil }
        return KernelFile.number("max", in: "\(folder.path)/pids.events").map { Int($0) }
    }
}
