import DeploymentCore

/// What a sandbox uses at one moment.
public struct SandboxStatistics: Sendable, Equatable, Codable {
    /// Processor time of all its processes so far, in seconds; a rate is the difference of two samples.
    public var cpuSeconds: Double
    /// The limit of its processor time, in cores; nil when there is none.
    public var cpuLimit: Double?
    /// Memory now, in bytes: what the control group is charged with, or the processes' proportional share.
    public var memoryBytes: Int64
    /// The part of memory that is copies of files, in bytes; nil when nobody counts it.
    public var memoryCacheBytes: Int64?
    /// The most memory so far, in bytes; nil when nobody counts it.
    public var memoryPeakBytes: Int64?
    /// The limit of its memory, in bytes; nil when there is none.
    public var memoryLimitBytes: Int64?
    /// Bytes on disk in the home folder.
    public var diskBytes: Int64
    /// Whether the folder had more files than are counted, so that `diskBytes` is the least it can be.
    public var diskIsPartial: Bool
    /// The limit of the home folder, in bytes; nil when there is none.
    public var diskLimitBytes: Int64?
    /// Bytes received on the sandbox's own interfaces, its loopback included; nil without a network of its own.
    public var networkReceivedBytes: Int64?
    /// Bytes sent on the sandbox's own interfaces, its loopback included; nil without a network of its own.
    public var networkSentBytes: Int64?
    /// What went through its way out since the control plane began; nil without one.
    public var egress: EgressTraffic?
    /// Processes, the engine's own (launcher and agent) included.
    public var processes: Int
    /// The limit of processes and threads; nil when there is none.
    public var processLimit: Int?
    /// Seconds since its first process began.
    public var uptimeSeconds: Double
    /// How often the kernel killed one of its processes for memory; nil when nobody counts it.
    public var memoryKills: Int?
    /// Whether it gets next to nothing of the processors for a while, since it ran into its limits again and again.
    public var isHeldBack: Bool
    /// How often that began since the control plane began.
    public var holdBacks: Int

    /// Creates a sample.
    public init(
        cpuSeconds: Double, cpuLimit: Double? = nil, memoryBytes: Int64, memoryCacheBytes: Int64? = nil,
        memoryPeakBytes: Int64? = nil, memoryLimitBytes: Int64? = nil, diskBytes: Int64, diskIsPartial: Bool = false,
        diskLimitBytes: Int64? = nil,
        networkReceivedBytes: Int64? = nil, networkSentBytes: Int64? = nil, egress: EgressTraffic? = nil,
        processes: Int,
        processLimit: Int? = nil, uptimeSeconds: Double, memoryKills: Int? = nil, isHeldBack: Bool = false,
        holdBacks: Int = 0
    ) {
        self.cpuSeconds = cpuSeconds
        self.cpuLimit = cpuLimit
        self.memoryBytes = memoryBytes
        self.memoryCacheBytes = memoryCacheBytes
        self.memoryPeakBytes = memoryPeakBytes
        self.memoryLimitBytes = memoryLimitBytes
        self.diskBytes = diskBytes
        self.diskIsPartial = diskIsPartial
        self.diskLimitBytes = diskLimitBytes
        self.networkReceivedBytes = networkReceivedBytes
        self.networkSentBytes = networkSentBytes
        self.egress = egress
        self.processes = processes
        self.processLimit = processLimit
        self.uptimeSeconds = uptimeSeconds
        self.memoryKills = memoryKills
        self.isHeldBack = isHeldBack
        self.holdBacks = holdBacks
    }
}

/// A limit that a sandbox ran into, and what came of it.
public struct ExceededLimit: Sendable, Equatable, Codable, CustomStringConvertible {
    /// What ran out.
    public var resource: SandboxResource
    /// The sentence for the user: `the app was killed: over its memory limit of 200 MiB`.
    public var description: String

    /// Creates a report.
    public init(resource: SandboxResource, description: String) {
        self.resource = resource
        self.description = description
    }
}

extension Sandbox {
    /// Unknown, and so whatever its machine reaches.
    public var network: String { NetworkEnforcement.open.rawValue }
    /// Not paused.
    public var isPaused: Bool { false }
    /// - Throws: `sandbox`: a provider without statistics.
    public func statistics() async throws -> SandboxStatistics {
        throw BerthError(.sandbox, "sandbox \(id) has no statistics: its provider gives none")
    }
    /// On this machine.
    public var origin: String? { nil }
    /// None: there is no network between.
    public var lostRequests: Int { 0 }
    /// Nothing is to be taken away: what was made here never reached more than its app may.
    public func seal() async throws {}
    /// Nothing that this provider knows of.
    public func exceededLimits() async -> [ExceededLimit] { [] }
    /// - Throws: `sandbox`: a provider whose agents are elsewhere.
    public func connectToAgent() async throws -> Int32 {
        throw BerthError(.sandbox, "the agent of sandbox \(id) cannot be connected to: its provider does not offer it")
    }
    /// - Throws: `sandbox`: a provider that cannot change it.
    public func permit(_ access: NetworkAccess) async throws {
        throw BerthError(.sandbox, "the network of sandbox \(id) cannot be changed: its provider does not offer it")
    }
    /// - Throws: `sandbox`: a provider that cannot pause.
    public func pause() async throws {
        throw BerthError(.sandbox, "sandbox \(id) cannot be paused: its provider does not offer it")
    }
    /// - Throws: `sandbox`: a provider that cannot pause.
    public func resume() async throws {
        throw BerthError(.sandbox, "sandbox \(id) cannot be resumed: its provider does not offer it")
    }
}
