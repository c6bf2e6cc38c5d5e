import Glibc

/// What /proc tells of the use of processes, for machines without control groups.
enum ProcessUsage {
    private static let ticksPerSecond = Double(max(1, sysconf(Int32(_SC_CLK_TCK))))

    /// Processor time of a process and of its children that have ended, in seconds (proc(5), fields 14 to 17).
    static func cpuSeconds(_ pid: Int32) -> Double {
        guard let text = ProcessTable.read("/proc/\(pid)/stat"), let close = text.lastIndex(of: UInt8(ascii: ")"))
        else { return 0 }
        let fields = text[(close + 1)...].split(separator: UInt8(ascii: " "))
        guard fields.count > 14 else { return 0 }
        let ticks = fields[11...14].reduce(Int64(0)) { $0 + (Int64(String(decoding: $1, as: UTF8.self)) ?? 0) }
        return Double(ticks) / ticksPerSecond
    }

    /// Memory of a process, shared pages in proportion; all resident pages where that cannot be read. In bytes.
    static func memoryBytes(_ pid: Int32) -> Int64 {
        if let rollup = KernelFile.text("/proc/\(pid)/smaps_rollup") {
            for line in rollup.split(separator: "\n") where line.hasPrefix("Pss:") {
                let words = line.split(separator: " ")
                if words.count > 1, let kilobytes = Int64(words[1]) { return kilobytes << 10 }
            }
        }
        let words = KernelFile.text("/proc/\(pid)/statm")?.split(separator: " ") ?? []
        guard words.count > 1, let pages = Int64(words[1]) else { return 0 }
        return pages * Int64(sysconf(Int32(_SC_PAGESIZE)))
    }

    /// The pages of a process that are no file's: those in memory, and those that were moved out, both in bytes.
    static func residence(_ pid: Int32) -> (resident: Int64, swapped: Int64) {
        let lines = KernelFile.text("/proc/\(pid)/status")?.split(separator: "\n") ?? []
        let bytes = { (name: String) -> Int64 in
            let words = lines.first { $0.hasPrefix(name) }?.split { $0 == " " || $0 == "\t" } ?? []
            return words.count > 1 ? (Int64(words[1]) ?? 0) << 10 : 0
        }
        return (bytes("RssAnon:"), bytes("VmSwap:"))
    }

    /// Seconds since a process began.
    static func uptime(of process: ProcessIdentity) -> Double {
        let words = KernelFile.text("/proc/uptime")?.split(separator: " ") ?? []
        guard let seconds = words.first.flatMap({ Double($0) }) else { return 0 }
        return max(0, seconds - Double(process.startTime) / ticksPerSecond)
    }

    /// Bytes received and sent on all interfaces that a process sees.
    static func network(_ pid: Int32) -> (received: Int64, sent: Int64)? {
        guard let text = KernelFile.text("/proc/\(pid)/net/dev") else { return nil }
        var total = (received: Int64(0), sent: Int64(0))
        for line in text.split(separator: "\n") {
            guard let colon = line.lastIndex(of: ":") else { continue }
            let fields = line[line.index(after: colon)...].split(separator: " ")
            guard fields.count > 8, let received = Int64(fields[0]), let sent = Int64(fields[8]) else { continue }
            total = (total.received + received, total.sent + sent)
        }
        return total
    }
}
