import CPlatform
import DeploymentCore
import Glibc

/// The control groups of this machine that sandboxes can be put into, found by putting a process into each.
struct ControlGroups: Sendable {
    /// The longest that the process of one trial may run.
    static let trialTimeout = Duration.seconds(5)

    /// Where the groups of sandboxes are made, at most one of version 2 and the others after the controllers it lacks.
    var bases: [GroupFolder] = []
    /// Whether a group of version 2 can be told to give memory back (Linux 5.19).
    var canReclaim = false
    /// Why a hierarchy cannot be used, each as one sentence.
    var reasons: [String] = []

    /// Where those go who were in a group that is to give controllers away.
    private static let leaf = "berth-control-plane"
    private static let found = Locked<ControlGroups?>(nil)

    /// What was found the first time.
    static func cached() -> ControlGroups {
        found.withLock { found in
            if let found { return found }
            let groups = ControlGroups(versions: [1, 2])
            found = groups
            return groups
        }
    }

    init(bases: [GroupFolder] = [], reasons: [String] = []) {
        self.bases = bases
        self.reasons = reasons
    }

    /// Tries what is mounted.
    init(versions: Set<Int>) {
        let mounts = GroupMounts(
            mountInfo: KernelFile.text("/proc/self/mountinfo") ?? "",
            ownGroups: KernelFile.text("/proc/self/cgroup") ?? ""
        ).mounts.filter { versions.contains($0.version) }
        guard !mounts.isEmpty else {
            reasons = ["control groups are not mounted"]
            return
        }
        var covered: Set<GroupController> = []
        for mount in mounts.sorted(by: { $0.version > $1.version }) {
            // What version 2 does is not asked of version 1 again: it freezes and counts processor time by itself.
            guard mount.version == 2 ? covered.isEmpty : !mount.controllers.isSubset(of: covered) else { continue }
            guard let base = usable(mount) else { continue }
            bases.append(base)
            covered.formUnion(base.controllers)
            if base.version == 2 { covered.formUnion([.cpuacct, .freezer]) }
        }
        let missing = [GroupController.memory, .pids, .cpu].filter { !covered.contains($0) }.map(\.rawValue)
        if !missing.isEmpty, reasons.isEmpty {
            reasons.append("the control group \(bases.first?.path ?? "") gives no \(missing.joined(separator: ", "))")
        }
    }

    /// The first folder of a hierarchy in which a group works: our own, or else the top.
    private mutating func usable(_ mount: GroupMounts.Mount) -> GroupFolder? {
        var reason: String?
        var best: GroupFolder?
        // An earlier control plane may have moved the shell that started this one.
        let suffix = "/\(Self.leaf)"
        let own = mount.own.hasSuffix(suffix) ? String(mount.own.dropLast(suffix.count)) : mount.own
        for path in own == mount.mountPoint ? [own] : [own, mount.mountPoint] {
            var folder = GroupFolder(version: mount.version, controllers: mount.controllers, path: path)
            do {
                if mount.version == 2 { folder.controllers = try Self.enableControllers(in: path) }
                let canReclaim = try Self.tryOut(folder)
                if best == nil || folder.controllers.count > (best?.controllers.count ?? 0) {
                    best = folder
                    self.canReclaim = self.canReclaim || canReclaim
                }
                if mount.version == 1 || folder.controllers.isSuperset(of: [.memory, .pids, .cpu]) { break }
            } catch {
                reason = reason ?? "\(error)"
            }
        }
        if best == nil, let reason { reasons.append(reason) }
        return best
    }

    /// Makes a group, starts a process in it and removes it; whether it can be told to give memory back.
    private static func tryOut(_ base: GroupFolder) throws -> Bool {
        let name = "berth-trial-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        let group = base.child(name)
        guard mkdir(group.path, 0o755) == 0 else {
            throw BerthError.system(errno, "no control group can be made in \(base.path)")
        }
        let deadline = ContinuousClock.now + trialTimeout
        do {
            let output = Descriptor(try check(berth_memory_file("berth-trial"), "no memory file for a trial"))
            let child = try Child.spawn(
                ["/bin/cat", "/proc/self/cgroup"], environment: [:], folder: "/", descriptors: [(output, 1)],
                entrance: GroupEntrance([group]))
            guard child.wait(limit: trialTimeout) == .exited(code: 0) else {
                child.kill()
                _ = child.wait(limit: trialTimeout)
                throw BerthError(.sandbox, "a process does not run in the control group \(group.path)")
            }
            var bytes = [UInt8](repeating: 0, count: 64 << 10)
            let count = pread(output.number, &bytes, bytes.count, 0)
            guard String(decoding: bytes.prefix(max(0, count)), as: UTF8.self).contains(name) else {
                throw BerthError(.sandbox, "a process does not enter the control group \(group.path)")
            }
        } catch {
            try? group.remove(until: deadline)
            throw error
        }
        let canReclaim = KernelFile.exists("\(group.path)/memory.reclaim")
        try group.remove(until: deadline)
        return canReclaim
    }

    /// Gives the groups below a folder of version 2 what they need; what works there already or then.
    ///
    /// A group with processes of its own cannot give controllers away, and one that gave away those that it can would
    /// make its children invalid (cgroups(7), "no internal processes" and "threaded"): everybody moves out first.
    private static func enableControllers(in path: String) throws -> Set<GroupController> {
        let offered = words("\(path)/cgroup.controllers")
        let missing = [GroupController.memory, .pids, .cpu].filter {
            offered.contains($0.rawValue) && !enabled(path).contains($0)
        }
        guard !missing.isEmpty else { return enabled(path) }
        let group = GroupFolder(version: 2, controllers: [], path: path)
        // Only the top, which has no type, may keep its processes.
        let isTop = !KernelFile.exists("\(path)/cgroup.type")
        let leaf = group.child(Self.leaf)
        let wasMade = !isTop && mkdir(leaf.path, 0o755) == 0
        // Others' groups are left alone.
        let moved = !isTop && group.members.contains(getpid()) ? move(from: group, to: leaf) : []
        if !(isTop || group.members.isEmpty) || !enable(missing, in: path) {
            for pid in moved { try? KernelFile.write("\(pid)", to: "\(path)/cgroup.procs") }
            if wasMade { rmdir(leaf.path) }
        }
        return enabled(path)
    }

    /// Moves whoever is in a group, and whom they start meanwhile; who was moved.
    private static func move(from group: GroupFolder, to leaf: GroupFolder) -> [Int32] {
        var moved: [Int32] = []
        for _ in 0..<4 {
            for pid in group.members where (try? KernelFile.write("\(pid)", to: "\(leaf.path)/cgroup.procs")) != nil {
                moved.append(pid)
            }
            if group.members.isEmpty { break }
        }
        return moved
    }

    private static func enabled(_ path: String) -> Set<GroupController> {
        Set(words("\(path)/cgroup.subtree_control").compactMap { GroupController(rawValue: $0) })
    }

    /// All of them or none.
    private static func enable(_ controllers: [GroupController], in path: String) -> Bool {
        let words = controllers.map { "+\($0.rawValue)" }.joined(separator: " ")
        return (try? KernelFile.write(words, to: "\(path)/cgroup.subtree_control")) != nil
    }

    private static func words(_ path: String) -> [String] {
        KernelFile.text(path)?.split { $0 == " " || $0 == "\n" }.map(String.init) ?? []
    }
}
