import DeploymentCore

/// Which limits hold here, and by what; found by trying.
public struct EnforcedLimits: Sendable, Equatable, Codable {
    /// Memory.
    public var memory: LimitMechanism
    /// Processor time.
    public var cpu: LimitMechanism
    /// The number of processes.
    public var processes: LimitMechanism
    /// Bytes on disk.
    public var disk: LimitMechanism
    /// Open files.
    public var openFiles: LimitMechanism
    /// How a sandbox is paused.
    public var freeze: FreezeMechanism
    /// How a paused sandbox's memory is given back.
    public var reclaim: ReclaimMechanism
    /// Why something is not enforced, or what is to be known of how it is; one sentence each.
    public var notes: [String]

    /// Nothing is enforced, as far as is known.
    public static let nothing = EnforcedLimits()

    /// Creates a description.
    public init(
        memory: LimitMechanism = .none, cpu: LimitMechanism = .none, processes: LimitMechanism = .none,
        disk: LimitMechanism = .none, openFiles: LimitMechanism = .none, freeze: FreezeMechanism = .none,
        reclaim: ReclaimMechanism = .none, notes: [String] = []
    ) {
        self.memory = memory
        self.cpu = cpu
        self.processes = processes
        self.disk = disk
        self.openFiles = openFiles
        self.freeze = freeze
        self.reclaim = reclaim
        self.notes = notes
    }

    /// What enforces one limit.
    public subscript(_ resource: SandboxResource) -> LimitMechanism {
        switch resource {
        case .memory: memory
        case .cpu: cpu
        case .processes: processes
        case .disk: disk
        case .openFiles: openFiles
        }
    }
}

/// What holds a limit.
public enum LimitMechanism: String, Sendable, Codable, CaseIterable {
    /// Nothing: the limit cannot be asked for.
    case none
    /// Control groups, version 1: the kernel, for the whole sandbox.
    case cgroup1
    /// Control groups, version 2: the kernel, for the whole sandbox.
    case cgroup2
    /// A resource limit (setrlimit(2)): the kernel, for each process, or for the sandbox's user namespace.
    case rlimit
    /// The control plane looks again and again, and kills the app once it is over: exceeded for a moment.
    case watch
}

/// What pauses a sandbox.
public enum FreezeMechanism: String, Sendable, Codable, CaseIterable {
    case none
    /// `freezer.state` of control groups, version 1.
    case cgroup1
    /// `cgroup.freeze` of control groups, version 2.
    case cgroup2
    /// SIGSTOP to every process.
    case stopSignal = "stop_signal"
}

/// What gives a paused sandbox's memory back to the machine.
public enum ReclaimMechanism: String, Sendable, Codable, CaseIterable {
    /// Nothing: there is no swap, or no right to it.
    case none
    /// `memory.reclaim` of control groups, version 2.
    case cgroup2
    /// process_madvise(2) with MADV_PAGEOUT over every process.
    case pageout
}
