/// Where control groups are mounted, and which of them this process is in.
struct GroupMounts: Sendable {
    /// One mounted hierarchy.
    struct Mount: Sendable, Equatable {
        var version: Int
        var controllers: Set<GroupController>
        var mountPoint: String
        /// The folder of this process's own group.
        var own: String
    }

    var mounts: [Mount] = []

    /// Reads the texts of /proc/self/mountinfo and /proc/self/cgroup (proc(5), cgroups(7)).
    init(mountInfo: String, ownGroups: String) {
        let groups = ownGroups.split(separator: "\n").map {
            $0.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
        }.filter { $0.count == 3 }
        for line in mountInfo.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard let dash = fields.firstIndex(of: "-"), dash > 5, fields.count > dash + 3 else { continue }
            let type = fields[dash + 1]
            guard type == "cgroup" || type == "cgroup2", !fields[4].contains("\\") else { continue }
            let options = fields[dash + 3].split(separator: ",")
            let controllers = Set(options.compactMap { GroupController(rawValue: String($0)) })
            let group = groups.first { entry in
                if type == "cgroup2" { return entry[0] == "0" }
                let names = Set(entry[1].split(separator: ","))
                return controllers.contains { names.contains(Substring($0.rawValue)) }
            }
            guard let group, type == "cgroup2" || !controllers.isEmpty else { continue }
            let own = Self.join(String(fields[4]), Self.relative(group[2], to: fields[3]))
            mounts.append(
                Mount(
                    version: type == "cgroup2" ? 2 : 1, controllers: controllers, mountPoint: String(fields[4]),
                    own: own))
        }
    }

    /// The path below the mount; a group that the mount does not show is taken for its root.
    private static func relative(_ group: Substring, to root: Substring) -> String {
        if root == "/" { return String(group) }
        if group == root { return "/" }
        return group.hasPrefix(root + "/") ? String(group.dropFirst(root.utf8.count)) : "/"
    }

    private static func join(_ mount: String, _ path: String) -> String { path == "/" ? mount : mount + path }
}
