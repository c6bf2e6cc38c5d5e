import CPlatform
import DeploymentCore
import Glibc
import Sandboxes

/// What holds each limit here, and the refusal of one that nothing holds.
struct LimitEnforcement: Sendable {
    let groups: ControlGroups
    private(set) var enforced: EnforcedLimits

    /// Judges by the groups that work, and by what else was tried.
    init(groups: ControlGroups, countsProcesses: Bool, reclaim: ReclaimMechanism) {
        self.groups = groups
        let mechanism = { (controller: GroupController) -> LimitMechanism? in
            guard let base = groups.bases.first(where: { $0.controllers.contains(controller) }) else { return nil }
            return base.version == 2 ? .cgroup2 : .cgroup1
        }
        let freeze: FreezeMechanism =
            if groups.bases.contains(where: { $0.version == 2 }) {
                .cgroup2
            } else if groups.bases.contains(where: {
                $0.controllers.contains(.freezer)
            }) { .cgroup1 } else { .stopSignal }
        var enforced = EnforcedLimits(
            memory: mechanism(.memory) ?? .rlimit, cpu: mechanism(.cpu) ?? .none,
            processes: mechanism(.pids) ?? (countsProcesses ? .rlimit : .none), disk: .watch, openFiles: .rlimit,
            freeze: freeze, reclaim: reclaim)
        if enforced.memory == .rlimit || enforced.cpu == .none || enforced.processes == .none {
            let others = groups.reasons.count - 1
            enforced.notes += groups.reasons.prefix(1).map { others > 0 ? "\($0) (and \(others) more)" : $0 }
        }
        if enforced.memory == .rlimit {
            enforced.notes.append("memory is limited for each process alone, not for all of a sandbox together")
        }
        if enforced.processes == .rlimit { enforced.notes.append("processes are counted by user namespace") }
        enforced.notes.append(
            "a file cannot grow beyond the disk limit; all files together are measured twice a second, and an app that "
                + "is over the limit is killed")
        if reclaim == .none {
            enforced.notes.append("a paused sandbox keeps its memory: there is no swap, or no right to move it there")
        }
        self.enforced = enforced
    }

    /// The same for gVisor, whose kernel counts processes, and where the host cannot tell one process from another.
    func adapted(to isolation: Isolation) -> LimitEnforcement {
        guard isolation == .gvisor else { return self }
        var adapted = self
        adapted.enforced.processes = .rlimit
        if enforced.memory == .rlimit {
            adapted.enforced.memory = .none
            adapted.enforced.notes.removeAll { $0.hasPrefix("memory is limited for each process") }
        }
        adapted.enforced.notes.append(
            "a sandbox on gVisor that is over its memory or disk limit ends as a whole, and is started anew")
        return adapted
    }

    /// - Throws: `sandbox`, naming the first limit that is asked for and cannot be held.
    func check(_ limits: SandboxLimits) throws {
        for resource in limits.demanded where enforced[resource] == .none {
            let reason = groups.reasons.first ?? "control groups do not offer it"
            throw BerthError(
                .sandbox, "the limit resources.\(resource.rawValue) cannot be enforced here: \(reason)",
                suggestion: "leave resources.\(resource.rawValue) out, or start berth in a control group of its own: "
                    + "systemd-run --user --scope -p Delegate=yes")
        }
        guard let files = limits.openFiles else { return }
        var own = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &own) == 0, geteuid() != 0 else { return }
        guard own.rlim_max < rlim_t(files) else { return }
        throw BerthError(
            .sandbox, "the limit resources.open_files of \(files) is above this machine's own of \(own.rlim_max)",
            suggestion: "ask for \(own.rlim_max) at most")
    }

    /// Whether a process has to be limited by itself.
    func needsAgent(_ limits: SandboxLimits) -> Bool {
        limits.openFiles != nil || limits.disk != nil || enforced.processes == .rlimit
            || (enforced.memory == .rlimit && limits.memory != nil)
    }

    /// Sets what holds for each process; the agent gets it before it has started any.
    ///
    /// - Parameter apart: processes that are there already and that the kernel counts for somebody else.
    func apply(_ limits: SandboxLimits, to agent: Int32, apart: Int = 0) throws {
        func set(_ resource: SandboxResource, _ kind: Int32, _ value: Int64?) throws {
            guard let value else { return }
            try LocalSandbox.check(
                berth_limit_set(agent, kind, UInt64(value)), "the limit resources.\(resource.rawValue) cannot be set")
        }
        try set(.openFiles, BERTH_LIMIT_OPEN_FILES, limits.openFiles.map { Int64($0) })
        try set(.disk, BERTH_LIMIT_FILE_SIZE, limits.disk)
        if enforced.memory == .rlimit { try set(.memory, BERTH_LIMIT_DATA, limits.memory) }
        if enforced.processes == .rlimit {
            let processes = limits.processes ?? SandboxGroup.defaultProcesses
            try set(.processes, BERTH_LIMIT_PROCESSES, Int64(max(1, processes - apart)))
        }
    }
}
