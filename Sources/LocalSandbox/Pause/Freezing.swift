import CPlatform
import DeploymentCore
import Glibc
import Sandboxes

/// Stops every process of a sandbox and lets it go on.
struct Freezing: Sendable {
    /// The time until every process has to stand still.
    static let timeout = Duration.seconds(5)
    /// How long one look waits for the next, in milliseconds.
    static let step: Int32 = 1

    let mechanism: FreezeMechanism
    let processes: SandboxProcesses

    /// The strongest that a sandbox's groups offer.
    static func mechanism(for group: SandboxGroup?) -> FreezeMechanism {
        if group?.unified != nil { return .cgroup2 }
        return group?.folder(.freezer) != nil ? .cgroup1 : .stopSignal
    }

    /// Returns once nothing runs any more.
    ///
    /// - Throws: `sandbox` when something still runs after 5 s; everything goes on then.
    func freeze() throws {
        do {
            switch mechanism {
            case .cgroup2: try freezeUnified()
            case .cgroup1: try freezeLegacy()
            case .stopSignal: try stop()
            case .none: throw BerthError(.sandbox, "nothing here can pause a sandbox")
            }
        } catch {
            try? thaw()
            throw error
        }
    }

    /// Lets everything go on.
    func thaw() throws {
        switch mechanism {
        case .cgroup2:
            guard let folder = processes.state.group?.unified else { return }
            try KernelFile.write("0", to: "\(folder.path)/cgroup.freeze")
        case .cgroup1:
            guard let folder = processes.state.group?.folder(.freezer) else { return }
            try KernelFile.write("THAWED", to: "\(folder.path)/freezer.state")
        case .stopSignal:
            // Nobody can have come since; looking for them again would take longer than all the rest.
            for process in processes.state.stopped ?? stoppable().map(\.identity) where ProcessTable.isAlive(process) {
                Self.signal(process.pid, SIGCONT)
            }
        case .none: return
        }
    }

    private func freezeUnified() throws {
        guard let folder = processes.state.group?.unified else { throw missing }
        try KernelFile.write("1", to: "\(folder.path)/cgroup.freeze")
        try wait { KernelFile.number("frozen", in: "\(folder.path)/cgroup.events") == 1 }
    }

    private func freezeLegacy() throws {
        guard let folder = processes.state.group?.folder(.freezer) else { throw missing }
        // The kernel asks for the state to be written again when a process came late.
        try wait {
            try? KernelFile.write("FROZEN", to: "\(folder.path)/freezer.state")
            return KernelFile.text("\(folder.path)/freezer.state") == "FROZEN"
        }
    }

    /// A process may have forked while the others were stopped, so that it takes rounds.
    private func stop() throws {
        try wait {
            let running = stoppable().filter { $0.state != UInt8(ascii: "T") && $0.state != UInt8(ascii: "t") }
            for entry in running { Self.signal(entry.identity.pid, SIGSTOP) }
            return running.isEmpty
        }
    }

    /// The processes that can be stopped by signals.
    func stoppable() -> [ProcessEntry] { processes.all.compactMap { ProcessTable.entry($0) }.filter { !$0.isDead } }

    private func wait(_ isDone: () -> Bool) throws {
        let deadline = ContinuousClock.now + Self.timeout
        while !isDone() {
            guard ContinuousClock.now < deadline else {
                throw BerthError(.sandbox, "sandbox \(processes.state.id) does not stand still within \(Self.timeout)")
            }
            _ = poll(nil, 0, Self.step)
        }
    }

    private var missing: BerthError {
        BerthError(.sandbox, "sandbox \(processes.state.id) has no control group that can be frozen")
    }

    private static func signal(_ pid: Int32, _ signal: Int32) {
        let number = berth_pidfd_open(pid)
        guard number >= 0 else { return }
        let pidfd = Descriptor(number)
        _ = berth_pidfd_signal(pidfd.number, signal)
        withExtendedLifetime(pidfd) {}
    }
}
