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

    /// The bubblewrap executable.
    var program: String

    /// What every sandbox has: all namespaces, no capabilities, no further user namespaces, a new session.
    private static let walls = [
        "--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try",
        "--disable-userns", "--uid", "\(user)", "--gid", "\(user)", "--cap-drop", "ALL", "--new-session", "--clearenv",
    ]

    /// What of /etc is shown, since programs look there for certificates, libraries and their own alternatives.
    static let configuration = [
        "/etc/ssl/certs", "/etc/pki/tls/certs", "/etc/pki/ca-trust", "/etc/ca-certificates", "/etc/ld.so.cache",
        "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives", "/etc/localtime",
    ]

    /// The system: programs and libraries read-only, everything else private.
    private static func system() -> [String] {
        var arguments = ["--ro-bind", "/usr", "/usr"]
        for name in ["bin", "sbin", "lib", "lib64", "lib32"] {
            if let target = linkTarget("/\(name)") {
                arguments += ["--symlink", target, "/\(name)"]
            } else {
                arguments += ["--ro-bind-try", "/\(name)", "/\(name)"]
            }
        }
        arguments += ["--proc", "/proc", "--dev", "/dev"] + kernelFiles()
        arguments += ["--size", "\(scratchLimit)", "--perms", "1777", "--tmpfs", "/tmp"]
        arguments += ["--size", "\(scratchLimit)", "--perms", "0755", "--tmpfs", "/run"]
        for path in configuration { arguments += ["--ro-bind-try", path, path] }
        return arguments
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

    private static func kernelFiles() -> [String] {
        let exists = { (name: String) in access("/proc/\(name)", F_OK) == 0 }
        return readOnlyKernelFiles.filter(exists).flatMap { ["--ro-bind", "/proc/\($0)", "/proc/\($0)"] }
            + hiddenKernelFiles.filter(exists).flatMap { ["--ro-bind", "/dev/null", "/proc/\($0)"] }
    }

    /// The whole command; it ends in the agent, which gets the listener as descriptor 3.
    func arguments(
        folder: SandboxFolder, agent: String, hostname: String, environment: [String: String],
        mounts: [SandboxSpecification.Mount], agentArguments: [String]
    ) -> [String] {
        var arguments = [program] + Self.walls + ["--hostname", hostname]
        for (name, value) in environment.sorted(by: { $0.key < $1.key }) { arguments += ["--setenv", name, value] }
        arguments += Self.system()
        for file in SystemFiles.names { arguments += ["--ro-bind", "\(folder.path)/etc/\(file)", "/etc/\(file)"] }
        arguments += ["--bind", folder.home, Self.home, "--ro-bind", agent, Self.agent]
        arguments += ["--ro-bind", folder.models, Self.models]
        // Parents before what is mounted below them.
        for mount in mounts.sorted(by: { ($0.target.utf8.count, $0.target) < ($1.target.utf8.count, $1.target) }) {
            arguments += ["--ro-bind", mount.source, mount.target]
        }
        arguments += ["--remount-ro", "/", "--chdir", Self.home, "--info-fd", "\(Self.infoNumber)"]
        arguments += ["--seccomp", "\(Self.filterNumber)"]
        return arguments + ["--", Self.agent] + agentArguments
    }

    /// The same walls around /bin/true: the question whether this machine lets us build them.
    func trial() -> [String] {
        [program] + Self.walls + Self.system()
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

/// The files of /etc that are made for a sandbox instead of shown.
enum SystemFiles {
    static let names = ["passwd", "group", "hosts", "nsswitch.conf"]

    /// Writes the files into `folder`.
    static func write(to folder: String, hostname: String) throws {
        let user = BubblewrapCommand.user
        let contents = [
            "passwd": "user:x:\(user):\(user):user:\(BubblewrapCommand.home):/bin/sh\n"
                + "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
            "group": "user:x:\(user):\nnogroup:x:65534:\n",
            "hosts": "127.0.0.1 localhost \(hostname)\n::1 localhost \(hostname)\n",
            "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
        ]
        for name in names {
            try SandboxFolder.write(Array((contents[name] ?? "").utf8), to: "\(folder)/\(name)", mode: 0o644)
        }
    }
}
