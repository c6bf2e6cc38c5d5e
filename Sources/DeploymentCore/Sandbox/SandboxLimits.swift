/// How much of the machine one sandbox may use; nil leaves it to the engine's default.
public struct SandboxLimits: Sendable, Equatable, Codable {
    /// Memory of all processes together, in bytes.
    public var memory: Int64?
    /// Cores, as a rate: 0.5 is half of one core.
    public var cpu: Double?
    /// Processes and threads at once.
    public var processes: Int?
    /// Bytes on disk in the home folder.
    public var disk: Int64?
    /// Open files of each process.
    public var openFiles: Int?

    /// Creates limits.
    public init(
        memory: Int64? = nil, cpu: Double? = nil, processes: Int? = nil, disk: Int64? = nil, openFiles: Int? = nil
    ) {
        self.memory = memory
        self.cpu = cpu
        self.processes = processes
        self.disk = disk
        self.openFiles = openFiles
    }

    /// What is limited here.
    public var demanded: [SandboxResource] {
        SandboxResource.allCases.filter { resource in
            switch resource {
            case .memory: memory != nil
            case .cpu: cpu != nil
            case .processes: processes != nil
            case .disk: disk != nil
            case .openFiles: openFiles != nil
            }
        }
    }
}

/// What can be limited, as a manifest writes it.
public enum SandboxResource: String, Sendable, Codable, CaseIterable {
    case memory
    case cpu
    case processes
    case disk
    case openFiles = "open_files"
}
