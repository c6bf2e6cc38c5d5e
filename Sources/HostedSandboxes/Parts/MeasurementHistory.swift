import DeploymentCore
import DeploymentStore
import E2BProtocol
import Glibc
import Sandboxes

/// What a sandbox used lately: one hour of samples at most.
struct MeasurementHistory: Sendable {
    /// The most measurements that are kept.
    static let capacity = 720

    private var samples: [SandboxMeasurement]
    private var earlier: (cpuSeconds: Double, time: Int64)?
    private let file: LineFile?

    /// Goes on with what a file holds; without one it is known to this control plane alone.
    init(file: LineFile? = nil) {
        self.file = file
        samples = (file?.load() ?? []).compactMap { try? SandboxMeasurement(json: JSONValue(parsing: $0)) }
    }

    /// Removes what is on disk.
    func remove() { file?.remove() }

    /// Takes a sample at a time in milliseconds.
    mutating func add(_ statistics: SandboxStatistics, of record: HostedSandboxRecord, at time: Int64) {
        let used: Double
        if let earlier, time > earlier.time {
            used = (statistics.cpuSeconds - earlier.cpuSeconds) / (Double(time - earlier.time) / 1_000)
        } else {
            used = statistics.uptimeSeconds > 0 ? statistics.cpuSeconds / statistics.uptimeSeconds : 0
        }
        earlier = (statistics.cpuSeconds, time)
        let percent = min(100, max(0, used / Double(max(1, record.processors)) * 100))
        if samples.count >= Self.capacity { samples.removeFirst(samples.count - Self.capacity + 1) }
        let sample = SandboxMeasurement(
            time: time / 1_000, processors: record.processors, processorPercent: (percent * 100).rounded() / 100,
            memoryUsed: statistics.memoryBytes, memoryTotal: statistics.memoryLimitBytes ?? Self.machineMemory,
            memoryCache: statistics.memoryCacheBytes ?? 0, diskUsed: statistics.diskBytes,
            diskTotal: statistics.diskLimitBytes ?? Int64(HostedSettings.diskMiB) << 20)
        samples.append(sample)
        file?.append(sample.json.encoded()) { samples.map { $0.json.encoded() } }
    }

    /// The measurements from second `start` to second `end`, oldest first.
    func between(_ start: Int64?, _ end: Int64?) -> [SandboxMeasurement] {
        samples.filter { $0.time >= start ?? .min && $0.time <= end ?? .max }
    }

    var last: SandboxMeasurement? { samples.last }

    /// The memory of the machine, which is what a sandbox without a limit has.
    private static let machineMemory = Int64(sysconf(Int32(_SC_PHYS_PAGES))) * Int64(sysconf(Int32(_SC_PAGESIZE)))
}
