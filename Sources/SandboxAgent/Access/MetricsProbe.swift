import CPlatform
import E2BProtocol
import Glibc

/// Measures what the sandbox uses, from what `/proc` shows of its processes.
final class MetricsProbe {
    private static let statLimit = 4096
    private static let infoLimit = 64 << 10
    /// Fields of `/proc/PID/stat` behind the name: times of the process and of the children it has collected.
    private static let timeFields = 11...14
    private var earlier: (ticks: Int64, at: Int64)?

    /// - Parameters:
    ///   - folder: where the disk is measured.
    ///   - isMeant: which processes count.
    func measure(folder: String, isMeant: (SystemProcess) -> Bool) -> AgentMetrics {
        var ticks: Int64 = 0
        var used: Int64 = 0
        var cache: Int64 = 0
        for process in SystemProcess.all() where isMeant(process) {
            ticks += Self.ticks(process.pid)
            let status = Self.sizes("/proc/\(process.pid)/status", limit: Self.statLimit)
            used += (status["RssAnon"] ?? 0) + (status["RssShmem"] ?? 0)
            cache += status["RssFile"] ?? 0
        }
        let processors = max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))
        let disk = Self.disk(folder)
        return AgentMetrics(
            timestamp: Int64(time(nil)), processors: processors, processorPercent: percent(ticks, processors),
            memoryTotal: Self.sizes("/proc/meminfo", limit: Self.infoLimit)["MemTotal"] ?? 0, memoryUsed: used,
            memoryCache: cache, diskUsed: disk.used, diskTotal: disk.total)
    }

    private func percent(_ ticks: Int64, _ processors: Int) -> Double {
        let now = EventLoop.now
        defer { earlier = (ticks, now) }
        // A process that has gone uncollected takes its time with it.
        guard let earlier, now > earlier.at, ticks > earlier.ticks else { return 0 }
        let perSecond = Double(max(1, sysconf(Int32(_SC_CLK_TCK))))
        let share = Double(ticks - earlier.ticks) / perSecond / (Double(now - earlier.at) / 1000) / Double(processors)
        return (min(share, 1) * 10_000).rounded() / 100
    }

    private static func ticks(_ pid: pid_t) -> Int64 {
        guard let text = readText("/proc/\(pid)/stat", limit: statLimit), let name = text.lastIndex(of: ")") else {
            return 0
        }
        let fields = text[text.index(after: name)...].split(separator: " ")
        guard fields.count > timeFields.upperBound else { return 0 }
        return fields[timeFields].reduce(0) { $0 &+ (Int64($1) ?? 0) }
    }

    /// The lines `Name: 12 kB` of a file, in bytes.
    private static func sizes(_ path: String, limit: Int) -> [String: Int64] {
        var sizes: [String: Int64] = [:]
        for line in (readText(path, limit: limit) ?? "").split(separator: "\n") where line.hasSuffix(" kB") {
            let parts = line.split(separator: ":")
            guard parts.count == 2, let count = parts[1].split(whereSeparator: { $0 == " " || $0 == "\t" }).first,
                let number = Int64(count)
            else { continue }
            sizes[String(parts[0])] = number &* 1024
        }
        return sizes
    }

    private static func disk(_ folder: String) -> (used: Int64, total: Int64) {
        var status = statvfs()
        guard statvfs(folder, &status) == 0 else { return (0, 0) }
        let block = Int64(clamping: status.f_frsize)
        let total = Int64(clamping: status.f_blocks).multipliedReportingOverflow(by: block).partialValue
        let free = Int64(clamping: status.f_bfree).multipliedReportingOverflow(by: block).partialValue
        return (max(0, total &- free), total)
    }
}
