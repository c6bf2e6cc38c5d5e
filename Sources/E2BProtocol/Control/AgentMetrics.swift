import DeploymentCore

/// What a sandbox uses at a moment (`GET /metrics`).
public struct AgentMetrics: Sendable, Equatable {
    /// The second of Unix time.
    public var timestamp: Int64
    /// Processors that may be used.
    public var processors: Int
    /// The use of all of them since the last question, 0 to 100.
    public var processorPercent: Double
    /// Memory there is, in bytes.
    public var memoryTotal: Int64
    /// Memory that is used, without files that can be read again, in bytes.
    public var memoryUsed: Int64
    /// Memory with the content of files, in bytes.
    public var memoryCache: Int64
    /// Disk space that is used, in bytes.
    public var diskUsed: Int64
    /// Disk space there is, in bytes.
    public var diskTotal: Int64

    /// Creates metrics.
    public init(
        timestamp: Int64, processors: Int, processorPercent: Double, memoryTotal: Int64, memoryUsed: Int64,
        memoryCache: Int64, diskUsed: Int64, diskTotal: Int64
    ) {
        self.timestamp = timestamp
        self.processors = processors
        self.processorPercent = processorPercent
        self.memoryTotal = memoryTotal
        self.memoryUsed = memoryUsed
        self.memoryCache = memoryCache
        self.diskUsed = diskUsed
        self.diskTotal = diskTotal
    }

    /// The answer as JSON.
    public var json: JSONValue {
        [
            "ts": .integer(timestamp), "cpu_count": .integer(Int64(processors)),
            "cpu_used_pct": .double(processorPercent), "mem_total": .integer(memoryTotal),
            "mem_used": .integer(memoryUsed), "mem_cache": .integer(memoryCache),
            "mem_total_mib": .integer(memoryTotal >> 20), "mem_used_mib": .integer(memoryUsed >> 20),
            "disk_used": .integer(diskUsed), "disk_total": .integer(diskTotal),
        ]
    }
}
