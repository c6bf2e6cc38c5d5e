import CPlatform
import DeploymentCore
import Glibc

/// The processes of one sandbox, as the host numbers them.
struct SandboxProcesses: Sendable {
    let folder: SandboxFolder
    let state: SandboxState

    /// The process that the sandbox lives as long as; nil when it has ended.
    var first: ProcessIdentity? { LocalProvider.process(of: state, folder) }

    /// All of them: by control group where there is one, or else by what /proc tells.
    var all: [Int32] {
        if let group = state.group, group.isThere { return group.members }
        return ProcessTable.members(of: state.id, roots: [first].compactMap { $0 }).map(\.identity.pid)
            .filter { $0 != getpid() }
    }

    /// The agent: under namespaces the first that the init started, which nobody else can have been.
    var agent: ProcessIdentity? {
        guard let first else { return nil }
        if state.isolation.sharesHost { return first }
        let children = KernelFile.text("/proc/\(first.pid)/task/\(first.pid)/children")?.split(separator: " ")
            .compactMap { Int32($0) }.compactMap { ProcessTable.entry($0) }
        let candidates = children ?? ProcessTable.all().values.filter { $0.parent == first.pid }
        return candidates.map(\.identity).min { ($0.startTime, $0.pid) < ($1.startTime, $1.pid) }
    }

    /// Kills the app and whatever it started; the launcher and the agent live, and tell of it.
    ///
    /// gVisor's processes are not the app's, so that there the whole sandbox ends.
    func killApp() {
        guard state.isolation != .gvisor else { return killAll() }
        guard let first, let agent else { return }
        // Twice, for what was forked while the others were killed.
        for _ in 0..<2 {
            let table = ProcessTable.all()
            let launcher = table[first.pid]?.parent ?? 0
            for pid in all where pid != first.pid && pid != agent.pid && pid != launcher {
                guard let entry = table[pid] else { continue }
                let number = berth_pidfd_open(pid)
                guard number >= 0 else { continue }
                let pidfd = Descriptor(number)
                if ProcessTable.isAlive(entry.identity) { _ = berth_pidfd_signal(pidfd.number, SIGKILL) }
            }
        }
    }

    /// Ends the sandbox: with the init of its pid namespace goes everybody in it.
    private func killAll() {
        guard let first else { return }
        let number = berth_pidfd_open(first.pid)
        guard number >= 0 else { return }
        let pidfd = Descriptor(number)
        if ProcessTable.isAlive(first) { _ = berth_pidfd_signal(pidfd.number, SIGKILL) }
    }
}
