import DeploymentCore
import Glibc
import Sandboxes

/// The control group of one sandbox, in each hierarchy that is used.
struct SandboxGroup: Sendable, Equatable, Codable {
    /// The processes of a sandbox without a limit of its own: far above any app, far below what harms the machine.
    static let defaultProcesses = 4096
    /// The period of the processor limit, in microseconds.
    static let cpuPeriod = 100_000
    private static let prefix = "berth-"

    var folders: [GroupFolder]

    /// The names of all groups of one engine folder begin with this.
    static func prefix(engine folder: String) -> String {
        // FNV-1a, 32 bits: short and the same in every process.
        let hash = folder.utf8.reduce(UInt32(2_166_136_261)) { ($0 ^ UInt32($1)) &* 16_777_619 }
        let digits = String(hash, radix: 16)
        return prefix + String(repeating: "0", count: 8 - digits.count) + digits + "-"
    }

    /// The group of the sandbox `id`; not made yet.
    init(bases: [GroupFolder], engine folder: String, id: String) {
        folders = bases.map { $0.child(Self.prefix(engine: folder) + id) }
    }

    /// Makes the group with its limits, empty.
    func make(_ limits: SandboxLimits) throws {
        for folder in folders {
            try folder.make()
            for (name, value) in Self.settings(limits, in: folder) {
                let file = "\(folder.path)/\(name)"
                // Swap is counted only where the kernel was told to.
                if name.contains("sw"), !KernelFile.exists(file) { continue }
                try KernelFile.write(value, to: file)
            }
        }
    }

    /// The files of a group and what to write to them, in this order.
    static func settings(_ limits: SandboxLimits, in folder: GroupFolder) -> [(name: String, value: String)] {
        var settings: [(String, String)] = []
        if folder.controllers.contains(.memory), let memory = limits.memory {
            // As much swap again, so that a paused sandbox finds room and a running one cannot take all of it.
            settings +=
                folder.version == 2
                ? [("memory.max", "\(memory)"), ("memory.swap.max", "\(memory)")]
                : [("memory.limit_in_bytes", "\(memory)"), ("memory.memsw.limit_in_bytes", "\(memory * 2)")]
        }
        if folder.controllers.contains(.pids) {
            settings.append(("pids.max", "\(limits.processes ?? defaultProcesses)"))
        }
        if folder.controllers.contains(.cpu), let cpu = limits.cpu { settings += processor(cpu, in: folder) }
        return settings
    }

    private static func processor(_ cores: Double?, in folder: GroupFolder) -> [(name: String, value: String)] {
        let quota = cores.map { max(1000, Int(($0 * Double(cpuPeriod)).rounded())) }
        return folder.version == 2
            ? [("cpu.max", "\(quota.map(String.init) ?? "max") \(cpuPeriod)")]
            : [("cpu.cfs_period_us", "\(cpuPeriod)"), ("cpu.cfs_quota_us", "\(quota ?? -1)")]
    }

    /// Changes how much of the processors it gets; nil is all of them.
    func limitProcessor(to cores: Double?) throws {
        guard let folder = folder(.cpu) else { return }
        for (name, value) in Self.processor(cores, in: folder) {
            try KernelFile.write(value, to: "\(folder.path)/\(name)")
        }
    }

    /// Lets a sandbox begin as one that gives way, where it is to.
    func begin(_ specification: SandboxSpecification) {
        if specification.isYielding, specification.limits.cpu != nil { yield(true) }
        if specification.isStandby { weigh(Self.standbyWeight) }
    }

    /// The processor time of a standby, in that of an equal.
    static let standbyWeight = 0.1

    /// Changes how much processor time it gets beside others who want it, in that of an equal; where time is shared out.
    func weigh(_ weight: Double) {
        guard let folder = folder(.cpu) else { return }
        // What a group has from the kernel: cpu.weight 100, cpu.shares 1024.
        let (name, equal) = folder.version == 2 ? ("cpu.weight", 100.0) : ("cpu.shares", 1_024.0)
        try? KernelFile.write("\(Int(equal * weight))", to: "\(folder.path)/\(name)")
    }

    /// What a child has to enter.
    func entrance() throws -> GroupEntrance { try GroupEntrance(folders) }

    /// Sends SIGKILL to everyone inside at once, frozen or not.
    func kill() {
        for folder in folders where folder.version == 2 {
            try? KernelFile.write("1", to: "\(folder.path)/cgroup.kill")
        }
        guard let freezer = folder(.freezer, version: 1) else { return }
        // A frozen process of version 1 dies only once it is let go.
        for pid in freezer.members where pid > 1 && pid != getpid() { Glibc.kill(pid, SIGKILL) }
        try? KernelFile.write("THAWED", to: "\(freezer.path)/freezer.state")
    }

    /// Removes it; what does not exist is no error.
    func remove(until deadline: ContinuousClock.Instant) throws {
        for folder in folders { try folder.remove(until: deadline) }
    }

    /// The folder with a controller.
    func folder(_ controller: GroupController, version: Int? = nil) -> GroupFolder? {
        folders.first { $0.controllers.contains(controller) && (version == nil || $0.version == version) }
    }

    /// The folder of version 2, whichever controllers it has.
    var unified: GroupFolder? { folders.first { $0.version == 2 } }

    /// Whether it was made and not removed.
    var isThere: Bool { folders.first.map { KernelFile.exists($0.path) } ?? false }

    /// The processes inside.
    var members: [Int32] { folders.first?.members ?? [] }
}

extension SandboxGroup {
    /// Removes the groups of sandboxes that have no folder any more, with whoever is in them.
    static func sweep(bases: [GroupFolder], engine folder: String, isKnown: (String) -> Bool) {
        let prefix = prefix(engine: folder)
        for base in bases {
            guard let stream = opendir(base.path) else { continue }
            defer { closedir(stream) }
            while let row = readdir(stream) {
                let name = row.name
                guard name.hasPrefix(prefix) else { continue }
                let id = String(name.dropFirst(prefix.utf8.count))
                guard SandboxFolder.isValid(id), !isKnown(id) else { continue }
                let group = SandboxGroup(bases: [base], engine: folder, id: id)
                group.kill()
                try? group.remove(until: .now + .seconds(1))
            }
        }
    }
}
