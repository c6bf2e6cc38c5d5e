import DeploymentCore

/// What a sandbox used at a moment: an element of `GET /sandboxes/{id}/metrics` (protocol note 1.7).
public struct SandboxMeasurement: WireMessage, Equatable {
    /// The second of Unix time.
    public var time: Int64
    /// Processors that may be used.
    public var processors: Int
    /// The use of all of them, 0 to 100.
    public var processorPercent: Double
    /// Memory in use, in bytes.
    public var memoryUsed: Int64
    /// Memory there is, in bytes.
    public var memoryTotal: Int64
    /// Memory that holds the content of files, in bytes.
    public var memoryCache: Int64
    /// Disk in use, in bytes.
    public var diskUsed: Int64
    /// Disk there is, in bytes.
    public var diskTotal: Int64

    /// Creates a measurement.
    public init(
        time: Int64, processors: Int, processorPercent: Double, memoryUsed: Int64, memoryTotal: Int64,
        memoryCache: Int64, diskUsed: Int64, diskTotal: Int64
    ) {
        self.time = time
        self.processors = processors
        self.processorPercent = processorPercent
        self.memoryUsed = memoryUsed
        self.memoryTotal = memoryTotal
        self.memoryCache = memoryCache
        self.diskUsed = diskUsed
        self.diskTotal = diskTotal
    }

    /// Reads the message.
    public init(json: JSONValue) throws(ConnectError) {
        let reader = try MessageReader(json, "metric")
        func size(_ field: String) throws(ConnectError) -> Int64 {
            try reader.optionalInteger(field, in: 0 ... .max) ?? 0
        }
        time = try size("timestampUnix")
        processors = try reader.unsigned("cpuCount")
        processorPercent = reader.value("cpuUsedPct")?.double ?? 0
        memoryUsed = try size("memUsed")
        memoryTotal = try size("memTotal")
        memoryCache = try size("memCache")
        diskUsed = try size("diskUsed")
        diskTotal = try size("diskTotal")
    }

    /// The message as JSON.
    public var json: JSONValue {
        [
            "timestamp": .string(Timestamp(seconds: time).text), "timestampUnix": .integer(time),
            "cpuCount": .integer(Int64(processors)), "cpuUsedPct": .double(processorPercent),
            "memUsed": .integer(memoryUsed), "memTotal": .integer(memoryTotal), "memCache": .integer(memoryCache),
            "diskUsed": .integer(diskUsed), "diskTotal": .integer(diskTotal),
        ]
    }
}
