import DeploymentCore
import Glibc
import Sandboxes

/// The command line of bubblewrap for one sandbox (bwrap(1), 0.8).
struct BubblewrapCommand: Sendable {
    /// The number of the agent's listener in the child.
    static let listenerNumber: Int32 = 3
    /// The number of the file that bubblewrap writes its process ids to.
    static let infoNumber: Int32 = 4
    /// The number of the file with the filter of system calls.
    static let filterNumber: Int32 = 5
    /// The same in a trial, which has no listener and no report.
    static let trialFilterNumber: Int32 = 3
    /// The user and group inside.
    static let user = 1000
    /// The size of the private /tmp and of /run, in bytes.
    static let scratchLimit = 1 << 30
    /// The home folder inside.
    static let home = "/home/user"
    /// Where models lie that come after the start.
    static let models = "/opt/models"
    /// The agent inside.
    static let agent = "/opt/berth/agent"
    /// The folder with the socket of the way out.
    static let egress = "/opt/berth/egress"

    /// The folder of root inside, where there is one.
    static let rootHome = "/root"
    /// Where `sudo` is for those who may use it.
    static let programs = "/opt/berth/bin"
    /// What the agent needs to start processes as `user` and `root`; it keeps no more than it knows by itself.
    private static let agentCapabilities = [
        "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "NET_BIND_SERVICE",
    ]

    /// The bubblewrap executable.
    var program: String
    /// Whether it is started as root of a user namespace with ids of its own, and the agent so too.
    var hasIdentities = false

    /// What every sandbox has: all namespaces, no capabilities, no further user namespaces, a new session.
    private var walls: [String] {
        var walls = ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
        if hasIdentities {
            // Its launcher made the user namespace, and forbade further ones.
            walls += ["--cap-drop", "ALL"] + Self.agentCapabilities.flatMap { ["--cap-add", "CAP_\($0)"] }
        } else {
            walls += ["--unshare-user", "--disable-userns", "--uid", "\(Self.user)", "--gid", "\(Self.user)"]
            walls += ["--cap-drop", "ALL"]
        }
        return walls + ["--new-session", "--clearenv"]
    }

    /// What of /etc is shown, since programs look there for certificates, libraries and their own alternatives. Each
    /// mount takes a new sandbox a tenth of a millisecond.
    static let configuration = [
        "/etc/ssl/certs", "/etc/pki/tls/certs", "/etc/pki/ca-trust", "/etc/ld.so.cache", "/etc/alternatives",
        "/etc/localtime",
    ]

    /// The system: programs and libraries read-only, everything else private.
    ///
    /// - Parameter etc: a folder that is shown as /etc, with places in it for the host's configuration.
    func system(etc: String? = nil) -> [String] {
        var arguments = ["--ro-bind", "/usr", "/usr"]
        for name in ["bin", "sbin", "lib", "lib64", "lib32"] {
            if let target = Self.linkTarget("/\(name)") {
                arguments += ["--symlink", target, "/\(name)"]
            } else {
                arguments += ["--ro-bind-try", "/\(name)", "/\(name)"]
            }
        }
        arguments += ["--proc", "/proc", "--dev", "/dev"] + kernelFiles()
        arguments += Self.scratch("/tmp", "1777") + Self.scratch("/run", hasIdentities ? "1777" : "0755")
        // Otherwise of root, and closed to the user. What belongs to the host's root may be shown below root's home.
        if hasIdentities { arguments += Self.scratch("/dev/shm", "1777") + Self.scratch(Self.rootHome, "0711") }
        if let etc { arguments += ["--ro-bind", etc, "/etc"] } else { arguments += folders(above: Self.configuration) }
        for path in Self.configuration { arguments += ["--ro-bind-try", path, path] }
        return arguments
    }

    /// Makes the folders that lead to paths, which bubblewrap makes for their owner alone: root inside.
    private func folders(above paths: [String]) -> [String] {
        guard hasIdentities else { return [] }
        var folders: Set<String> = []
        for path in paths where !path.hasPrefix("/usr/") && !path.hasPrefix(Self.home + "/") {
            let names = path.split(separator: "/")
            for count in 1..<max(1, names.count) { folders.insert("/" + names.prefix(count).joined(separator: "/")) }
        }
        return folders.sorted().flatMap { ["--dir", $0] }
    }

    private static func scratch(_ path: String, _ mode: String) -> [String] {
        ["--size", "\(scratchLimit)", "--perms", mode, "--tmpfs", path]
    }

    /// Kernel settings that belong to root by their owner, not by a capability: when root starts a sandbox, its
    /// inhabitant owns them too. bubblewrap covers only folders that can themselves be written to, which these cannot.
    private static let readOnlyKernelFiles = [
        "acpi", "bus", "driver", "fs", "irq", "mtrr", "pressure", "scsi", "sys", "sysrq-trigger", "tty",
    ]
    private static let hiddenKernelFiles = [
        "kcore", "keys", "kmsg", "latency_stats", "pagetypeinfo", "sched_debug", "slabinfo", "timer_list",
        "vmallocinfo",
    ]

    private func kernelFiles() -> [String] {
        // To everybody but the host's root they are closed by their modes, but for what concerns the own namespaces, and
        // for pressure, which everybody may ask to be told of.
        let isOwner = geteuid() == 0 && !hasIdentities
        let readOnly = isOwner ? Self.readOnlyKernelFiles : ["sys", "pressure"]
        var status = stat()
        let hidden = Self.hiddenKernelFiles.filter { name in
            stat("/proc/\(name)", &status) == 0 && (isOwner || status.st_mode & 0o004 != 0)
        }
        return readOnly.filter { access("/proc/\($0)", F_OK) == 0 }
            .flatMap { ["--ro-bind", "/proc/\($0)", "/proc/\($0)"] }
            + hidden.flatMap { ["--ro-bind", "/dev/null", "/proc/\($0)"] }
    }

    /// The whole command; it ends in the agent, which gets the listener as descriptor 3.
    ///
    /// - Parameter find: where bubblewrap finds what is at a path of the host.
    func arguments(
        folder: SandboxFolder, agent: String, hostname: String, environment: [String: String],
        mounts: [SandboxSpecification.Mount], volumes: [SandboxSpecification.Mount] = [], hasWayOut: Bool = false,
        agentArguments: [String], find: (String) -> String = { $0 }
    ) -> [String] {
        var arguments = [program] + walls + ["--hostname", hostname]
        for (name, value) in environment.sorted(by: { $0.key < $1.key }) { arguments += ["--setenv", name, value] }
        arguments += system(etc: find(folder.etc))
        arguments += folders(
            above: [Self.home, Self.agent, Self.models, Self.egress, Self.programs + "/sudo"]
                + (mounts + volumes).map(\.target))
        arguments += ["--bind", find(folder.home), Self.home, "--ro-bind", find(agent), Self.agent]
        // It says so where nobody can become root. A setuid program could do nothing here.
        arguments += ["--symlink", Self.agent, "\(Self.programs)/sudo"]
        if access("/usr/bin/sudo", F_OK) == 0 { arguments += ["--ro-bind", find(agent), "/usr/bin/sudo"] }
        arguments += ["--ro-bind", find(folder.models), Self.models]
        // The folder and not the socket, so that another one in its place is found.
        if hasWayOut { arguments += ["--ro-bind", find(folder.egress), Self.egress] }
        // Parents before what is mounted below them.
        let shown = mounts.map { ("--ro-bind", $0) } + volumes.map { ("--bind", $0) }
        let order = shown.sorted { ($0.1.target.utf8.count, $0.1.target) < ($1.1.target.utf8.count, $1.1.target) }
        for (option, mount) in order { arguments += [option, find(mount.source), mount.target] }
        arguments += ["--remount-ro", "/", "--chdir", Self.home, "--info-fd", "\(Self.infoNumber)"]
        arguments += ["--seccomp", "\(Self.filterNumber)"]
        return arguments + ["--", Self.agent] + agentArguments
    }

    /// The same walls around /bin/true: the question whether this machine lets us build them.
    func trial() -> [String] {
        [program] + walls + system()
            + ["--remount-ro", "/", "--seccomp", "\(Self.trialFilterNumber)", "--", "/bin/true"]
    }

    /// Where bubblewrap is installed; nil when it is not.
    static func find(in path: String = "/usr/bin:/bin:/usr/local/bin:/run/current-system/sw/bin") -> String? {
        path.split(separator: ":").map { "\($0)/bwrap" }.first { access($0, X_OK) == 0 }
    }

    static func linkTarget(_ path: String) -> String? {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlink(path, &buffer, buffer.count)
        guard count > 0 else { return nil }
        return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
