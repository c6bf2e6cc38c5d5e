import DeploymentCore
import Glibc
import Sandboxes

extension EmbeddedSandbox {
    /// The most files and folders of the home folder that a sample counts.
    static let maximumSampledEntries = 20_000

    /// What it uses now; the disk is counted up to 20 000 files.
    ///
    /// - Throws: `not_found` when it has ended.
    public func statistics() async throws -> SandboxStatistics {
        let egress = gate?.traffic(of: id)
        return try await Blocking.run { [folder, id, vitals] in
            guard let state = try folder.state() else { throw BerthError(.notFound, "there is no sandbox \(id)") }
            let processes = SandboxProcesses(folder: folder, state: state)
            guard let first = processes.first else { throw BerthError(.notFound, "the sandbox \(id) has ended") }
            let members = processes.all
            let usage = DiskUsage.measure(folder.home, maximumEntries: Self.maximumSampledEntries)
            // gVisor's loopback is its own, and cannot be seen from outside.
            let network = state.isolation == .namespaces ? ProcessUsage.network(first.pid) : nil
            let limits = state.limits ?? SandboxLimits()
            let holdBacks = vitals.holdBacks
            let group = state.group
            let countsProcesses = group?.folder(.pids) != nil
            return SandboxStatistics(
                cpuSeconds: group?.cpuSeconds ?? members.reduce(0) { $0 + ProcessUsage.cpuSeconds($1) },
                cpuLimit: limits.cpu,
                memoryBytes: group?.memoryBytes ?? Self.memoryBytes(of: members, on: state.isolation),
                memoryCacheBytes: group?.memoryCacheBytes, memoryPeakBytes: group?.memoryPeakBytes,
                memoryLimitBytes: limits.memory, diskBytes: usage.bytes,
                diskIsPartial: usage.isPartial, diskLimitBytes: limits.disk, networkReceivedBytes: network?.received,
                networkSentBytes: network?.sent, egress: egress, processes: members.count,
                processLimit: limits.processes ?? (countsProcesses ? SandboxGroup.defaultProcesses : nil),
                uptimeSeconds: ProcessUsage.uptime(of: first), memoryKills: group?.memoryKills,
                isHeldBack: holdBacks.isOn, holdBacks: holdBacks.count)
        }
    }

    private static func memoryBytes(of members: [Int32], on isolation: Isolation) -> Int64 {
        isolation == .gvisor
            ? GvisorMemory.bytes(heldBy: members) : members.reduce(0) { $0 + ProcessUsage.memoryBytes($1) }
    }

    /// What the kernel's counters and the watch of the disk tell.
    public func exceededLimits() async -> [ExceededLimit] {
        let counted = try? await Blocking.run { [folder] () -> [ExceededLimit] in
            guard let state = try folder.state(), let group = state.group else { return [] }
            var exceeded: [ExceededLimit] = []
            if let kills = group.memoryKills, kills > 0 {
                let limit = state.limits?.memory.map { "over its memory limit of \(SizeWords.text($0))" }
                exceeded.append(
                    ExceededLimit(
                        resource: .memory,
                        description:
                            "the app was killed: \(limit ?? "the machine, or a limit around it, ran out of memory")"
                    ))
            }
            if let refused = group.refusedProcesses, refused > 0 {
                let limit = state.limits?.processes ?? SandboxGroup.defaultProcesses
                exceeded.append(
                    ExceededLimit(
                        resource: .processes,
                        description: "the app could not start more processes: at its limit of \(limit)"))
            }
            return exceeded
        }
        return (counted ?? []) + vitals.exceeded
    }
}
