import DeploymentCore

/// What a deployment uses, now and before.
public struct StatisticsResource: Codable, Sendable, Equatable {
    /// The deployment.
    public var deployment: String
    /// Its state, as in `DeploymentResource`.
    public var state: String
    /// The sandbox that was measured; nil when there is none.
    public var sandbox: String?
    /// How often it was restarted since it was promoted.
    public var restarts: Int
    /// Requests since the control plane started.
    public var requests: Int
    /// The newest sample; nil when nothing could be measured.
    public var current: UsageSample?
    /// The limits it runs under.
    public var limits: UsageLimits
    /// Why there is no sample, when there is none.
    public var reason: String?
    /// Earlier samples of the same sandbox, oldest first.
    public var history: [UsageSample]

    /// Creates a resource.
    public init(
        deployment: String, state: String, sandbox: String?, restarts: Int, requests: Int, current: UsageSample? = nil,
        limits: UsageLimits = UsageLimits(), reason: String? = nil, history: [UsageSample] = []
    ) {
        self.deployment = deployment
        self.state = state
        self.sandbox = sandbox
        self.restarts = restarts
        self.requests = requests
        self.current = current
        self.limits = limits
        self.reason = reason
        self.history = history
    }
}

/// What a sandbox used at one moment.
public struct UsageSample: Codable, Sendable, Equatable {
    /// When, in milliseconds since 1970.
    public var time: Int64
    /// Processor time since the sample before, or since the start for the first, in percent of one core.
    public var cpuPercent: Double
    /// Memory, in bytes.
    public var memoryBytes: Int64
    /// The home folder, in bytes.
    public var diskBytes: Int64
    /// Bytes received so far; nil without a network of its own.
    public var networkReceivedBytes: Int64?
    /// Bytes sent so far; nil without a network of its own.
    public var networkSentBytes: Int64?
    /// Bytes that came through its way out since the control plane began; nil without one.
    public var egressReceivedBytes: Int64?
    /// Bytes that left through its way out since the control plane began; nil without one.
    public var egressSentBytes: Int64?
    /// Processes.
    public var processes: Int
    /// Seconds since it began.
    public var uptimeSeconds: Double
    /// How often the kernel killed a process for memory; nil when nobody counts it.
    public var memoryKills: Int?
    /// Whether it gets next to nothing of the processors for a while, since it ran into its limits again and again.
    public var isHeldBack: Bool?

    /// Creates a sample.
    public init(
        time: Int64, cpuPercent: Double, memoryBytes: Int64, diskBytes: Int64, networkReceivedBytes: Int64?,
        networkSentBytes: Int64?, egressReceivedBytes: Int64? = nil, egressSentBytes: Int64? = nil, processes: Int,
        uptimeSeconds: Double, memoryKills: Int?, isHeldBack: Bool? = nil
    ) {
        self.time = time
        self.cpuPercent = cpuPercent
        self.memoryBytes = memoryBytes
        self.diskBytes = diskBytes
        self.networkReceivedBytes = networkReceivedBytes
        self.networkSentBytes = networkSentBytes
        self.egressReceivedBytes = egressReceivedBytes
        self.egressSentBytes = egressSentBytes
        self.processes = processes
        self.uptimeSeconds = uptimeSeconds
        self.memoryKills = memoryKills
        self.isHeldBack = isHeldBack
    }
}

/// What a sandbox may use; nil is no limit.
public struct UsageLimits: Codable, Sendable, Equatable {
    /// Cores.
    public var cpu: Double?
    /// Bytes of memory.
    public var memoryBytes: Int64?
    /// Bytes of the home folder.
    public var diskBytes: Int64?
    /// Processes and threads.
    public var processes: Int?

    /// Creates limits.
    public init(cpu: Double? = nil, memoryBytes: Int64? = nil, diskBytes: Int64? = nil, processes: Int? = nil) {
        self.cpu = cpu
        self.memoryBytes = memoryBytes
        self.diskBytes = diskBytes
        self.processes = processes
    }
}
