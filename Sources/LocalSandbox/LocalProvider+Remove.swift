import CPlatform
import DeploymentCore
import Glibc
import Sandboxes

extension LocalProvider {
    /// Ends and removes whatever there is of a sandbox.
    func remove(_ id: String) async throws {
        let child = withShared { $0.children[id] }
        let limit = Self.endTimeout
        await watches.stop(id)
        await gate?.close(id)
        try await Blocking.run {
            let folder = self.sandboxFolder(id)
            try Self.endProcesses(id, folder, child, limit: limit)
            guard access(folder.path, F_OK) == 0 else { return }
            let range = (try? folder.state())?.identities
            if let range { try IdentityWork.empty(folder, of: range) }
            try FolderRemoval.remove(id, in: try self.rootDescriptor(), last: SandboxFolder.stateName)
            if let range { self.register.release(range, of: folder.path) }
        }
        // Somebody may have adopted it meanwhile, and opened its way again.
        await gate?.close(id)
        withShared {
            $0.children[id] = nil
            $0.ports[id] = nil
            $0.vitals[id] = nil
        }
    }

    /// Kills until nobody is left; only processes that are proven to be the sandbox's.
    private static func endProcesses(
        _ id: String, _ folder: SandboxFolder, _ child: Child?, limit: Duration
    ) throws {
        let deadline = ContinuousClock.now + limit
        let state = try? folder.state()
        // A process number is only believed together with its start time, and within the boot that it was written in.
        let recorded = state.flatMap { $0.boot == ProcessTable.boot ? $0.process : nil }
        // A state that cannot be read tells no group; its name is known, as is where it would have been made.
        let group =
            state.map(\.group)
            ?? SandboxGroup(bases: ControlGroups.cached().bases, engine: folder.root, id: folder.id)
        group?.kill()
        child?.kill()
        while true {
            let members: [ProcessEntry]
            if let group, state != nil, group.isThere {
                // Nobody leaves a group by himself, which spares a look at every process of the machine.
                members = group.members.compactMap { ProcessTable.entry($0) }.filter { !$0.isDead }
            } else {
                let roots = [recorded, folder.reportedInit()].compactMap { $0 }
                members = ProcessTable.members(of: id, roots: roots).filter { $0.identity.pid != getpid() }
            }
            if members.isEmpty { break }
            let left = deadline - .now
            guard left > .zero else {
                let pids = members.map { "\($0.identity.pid)" }.joined(separator: ", ")
                throw BerthError(.sandbox, "processes of sandbox \(id) do not end: \(pids)")
            }
            kill(members.map(\.identity), limit: left)
        }
        _ = child?.wait(limit: deadline - .now)
        try group?.remove(until: deadline)
    }

    /// Kills processes and waits for their end.
    private static func kill(_ processes: [ProcessIdentity], limit: Duration) {
        let deadline = ContinuousClock.now + limit
        let killed = processes.compactMap { process -> Descriptor? in
            let number = berth_pidfd_open(process.pid)
            guard number >= 0 else { return nil }
            let pidfd = Descriptor(number)
            // The number may have passed to another process before the pidfd was taken, but not after.
            guard ProcessTable.isAlive(process), berth_pidfd_signal(pidfd.number, SIGKILL) == 0 else { return nil }
            return pidfd
        }
        for pidfd in killed { _ = berth_pidfd_wait(pidfd.number, (deadline - .now).wholeMilliseconds) }
    }
}
