import CPlatform
import DeploymentCore
import Glibc
import Sandboxes

extension LimitEnforcement {
    private static let found = Locked<[Isolation: LimitEnforcement]>([:])

    /// What was found the first time that sandboxes of this isolation were asked about.
    static func cached(_ isolation: Isolation) -> LimitEnforcement {
        found.withLock { found in
            if let known = found[isolation] { return known }
            let groups = ControlGroups.cached()
            let needsTrial = isolation == .namespaces && !groups.bases.contains { $0.controllers.contains(.pids) }
            let enforcement = LimitEnforcement(
                groups: groups, countsProcesses: needsTrial && namespaceCountsProcesses(),
                reclaim: Reclaiming.mechanism(groups: groups)
            ).adapted(to: isolation)
            found[isolation] = enforcement
            return enforcement
        }
    }

    /// Whether RLIMIT_NPROC counts the processes of a user namespace alone (Linux 5.14, and not for root): four are
    /// allowed although the user has more, and a second one is refused.
    private static let countingScript = """
        if (ulimit -u 100) 2>/dev/null; then o=-u; else o=-p; fi
        ulimit $o 4 && /bin/true || exit 1
        (ulimit $o 1; /bin/true; /bin/true) 2>/dev/null && exit 1
        exit 0
        """

    private static func namespaceCountsProcesses() -> Bool {
        guard let program = BubblewrapCommand.find(),
            let filter = try? Descriptor(
                LocalSandbox.check(berth_filter_file(BERTH_FILTER_COMMON), "no filter of system calls"))
        else { return false }
        let arguments = BubblewrapCommand(program: program).trial().dropLast() + ["/bin/sh", "-c", countingScript]
        let child = try? Child.spawn(
            Array(arguments), environment: [:], folder: "/",
            descriptors: [(filter, BubblewrapCommand.trialFilterNumber)])
        guard let child else { return false }
        let status = child.wait(limit: NamespaceTrial.timeout)
        if status == nil {
            child.kill()
            _ = child.wait(limit: NamespaceTrial.timeout)
        }
        return status == .exited(code: 0)
    }
}
