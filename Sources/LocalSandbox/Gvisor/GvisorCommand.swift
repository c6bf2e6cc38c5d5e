import DeploymentCore
import Glibc
import Sandboxes

/// The command line of one sandbox on gVisor: bubblewrap's namespaces, and in them runsc with a kernel of its own.
///
/// bubblewrap gives what runsc would otherwise need privileges or a daemon for: the same user inside whoever started
/// it, no network around the sentry, a mount namespace in which nothing of the host but the sandbox's own can be seen,
/// and a pid namespace whose end is the end of every process of gVisor's.
struct GvisorCommand: Sendable {
    /// The number of the configuration's file in the child.
    static let configurationNumber: Int32 = 3
    /// The number of the file that bubblewrap writes its process ids to; a trial has none.
    static let infoNumber: Int32 = 4
    /// Platforms, the faster first (runsc flags); which of them works is found by trying. KVM is left out, since it
    /// hangs on machines whose /dev/kvm cannot run a guest.
    static let platforms = ["systrap", "ptrace"]
    /// Where the agent makes its socket, for the host to take it away from.
    static let door = "/home/user/\(doorName)"
    static let doorName = ".berth-agent.sock"
    /// The number of the agent's word that it listens.
    static let readinessNumber: Int32 = 0
    /// The number of its only user.
    static let user = 0
    /// The name of the container of a trial.
    private static let trialName = "trial"

    /// Folders of bubblewrap's mount namespace.
    private enum Place {
        static let root = "/rootfs"
        static let home = "/home"
        static let models = "/models"
        static let mounts = "/mounts"
        static let program = "/runsc"
        static let bundle = "/bundle"
        static let log = "/launch.log"
    }

    /// The bubblewrap and runsc executables.
    var bubblewrap: String
    var runsc: String
    /// One of `platforms`.
    var platform: String

    /// What one sandbox differs by.
    struct Inhabitant {
        var folder: SandboxFolder
        var agent: String
        var agentArguments: [String]
        var hostname: String
        var environment: [String: String]
        var mounts: [SandboxSpecification.Mount]
        var limits: SandboxLimits
    }

    // MARK: sandboxes

    /// The whole command; the configuration is read from descriptor 3.
    func arguments(_ inhabitant: Inhabitant) -> [String] {
        let folder = inhabitant.folder
        var arguments = walls() + ["--setenv", ProcessTable.marker, folder.id, "--info-fd", "\(Self.infoNumber)"]
        for file in SystemFiles.names { arguments += readOnly("\(folder.path)/etc/\(file)", "/etc/\(file)") }
        arguments += readOnly(inhabitant.agent, BubblewrapCommand.agent)
        for path in [BubblewrapCommand.home, BubblewrapCommand.models] { arguments += ["--dir", Place.root + path] }
        arguments += ["--bind", folder.home, Place.home, "--ro-bind", folder.models, Place.models]
        arguments += ["--bind", "\(folder.path)/\(SandboxFolder.logName)", Place.log]
        for (number, mount) in Self.sorted(inhabitant.mounts).enumerated() {
            // What lies below the home folder is mounted over it by gVisor, everything else is part of the root.
            arguments +=
                Self.isInHome(mount)
                ? ["--ro-bind", mount.source, "\(Place.mounts)/\(number)"] : readOnly(mount.source, mount.target)
        }
        return arguments + run(folder.id, ["--panic-log", Place.log])
    }

    /// The configuration that goes with the command.
    static func configuration(_ inhabitant: Inhabitant) -> OCIConfiguration {
        var mounts = scratch()
        mounts.append(bind(Place.home, to: BubblewrapCommand.home, "rw"))
        mounts.append(bind(Place.models, to: BubblewrapCommand.models, "ro"))
        for (number, mount) in sorted(inhabitant.mounts).enumerated() where isInHome(mount) {
            mounts.append(bind("\(Place.mounts)/\(number)", to: mount.target, "ro"))
        }
        let limits = inhabitant.limits
        var resources = [
            OCIConfiguration.ResourceLimit("RLIMIT_CORE", 0),
            OCIConfiguration.ResourceLimit(
                "RLIMIT_NPROC", Int64(limits.processes ?? SandboxGroup.defaultProcesses)),
        ]
        if let files = limits.openFiles { resources.append(.init("RLIMIT_NOFILE", Int64(files))) }
        if let disk = limits.disk { resources.append(.init("RLIMIT_FSIZE", disk)) }
        return OCIConfiguration(
            process: OCIConfiguration.Process(
                args: [BubblewrapCommand.agent] + inhabitant.agentArguments,
                env: inhabitant.environment.map { "\($0.key)=\($0.value)" }.sorted(), cwd: BubblewrapCommand.home,
                rlimits: resources),
            root: OCIConfiguration.Root(path: Place.root), hostname: inhabitant.hostname, mounts: mounts)
    }

    // MARK: trials

    /// The same walls around ls(1), which asks more of a kernel than true(1) does.
    func trial() -> [String] { walls() + run(Self.trialName, []) }

    /// The configuration that goes with a trial.
    static func trialConfiguration() -> OCIConfiguration {
        OCIConfiguration(
            process: OCIConfiguration.Process(args: ["/bin/ls", "/"], env: [], cwd: "/"),
            root: OCIConfiguration.Root(path: Place.root), hostname: trialName, mounts: scratch())
    }

    /// Where runsc is installed; nil when it is not.
    static func find(in path: String = "/usr/bin:/bin:/usr/local/bin:/run/current-system/sw/bin") -> String? {
        path.split(separator: ":").map { "\($0)/runsc" }.first { access($0, X_OK) == 0 }
    }

    // MARK: parts

    /// All namespaces, all capabilities over them and over nothing else, and the system as the container's root.
    private func walls() -> [String] {
        var arguments = [
            bubblewrap, "--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts",
            "--unshare-cgroup-try", "--uid", "0", "--gid", "0", "--cap-add", "ALL", "--new-session", "--clearenv",
            "--setenv", "PATH", "/nonexistent", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--ro-bind",
            runsc, Place.program, "--ro-bind-data", "\(Self.configurationNumber)",
            "\(Place.bundle)/config.json", "--chdir", "/",
        ]
        arguments += readOnly("/usr", "/usr")
        for name in ["bin", "sbin", "lib", "lib64", "lib32"] {
            if let target = BubblewrapCommand.linkTarget("/\(name)") {
                arguments += ["--symlink", target, "\(Place.root)/\(name)"]
            } else {
                arguments += ["--ro-bind-try", "/\(name)", "\(Place.root)/\(name)"]
            }
        }
        for path in BubblewrapCommand.configuration { arguments += ["--ro-bind-try", path, Place.root + path] }
        for name in ["proc", "dev", "sys", "tmp", "run", "opt"] { arguments += ["--dir", "\(Place.root)/\(name)"] }
        return arguments
    }

    /// Without its own control groups, which are ours to make, and without a network.
    ///
    /// The folder of its state carries the marker, since its processes drop their variables but not their arguments.
    private func run(_ name: String, _ options: [String]) -> [String] {
        [
            "--", Place.program, "--root", "/tmp/\(ProcessTable.marker)=\(name)", "--rootless", "--network", "none",
            "--platform", platform,
            "--host-uds", "all", "--ignore-cgroups", "--overlay2", "none",
        ] + options + ["run", "--bundle", Place.bundle, name]
    }

    private func readOnly(_ source: String, _ target: String) -> [String] {
        ["--ro-bind", source, Place.root + target]
    }

    /// What gVisor keeps in its own memory; it makes /dev and /sys by itself.
    private static func scratch() -> [OCIConfiguration.Mount] {
        let limit = BubblewrapCommand.scratchLimit
        return [
            OCIConfiguration.Mount(destination: "/proc", type: "proc", source: "proc"),
            OCIConfiguration.Mount(
                destination: "/tmp", type: "tmpfs", source: "tmpfs", options: ["mode=1777", "size=\(limit)"]),
            OCIConfiguration.Mount(
                destination: "/run", type: "tmpfs", source: "tmpfs", options: ["mode=0755", "size=\(limit)"]),
        ]
    }

    private static func bind(_ source: String, to target: String, _ mode: String) -> OCIConfiguration.Mount {
        OCIConfiguration.Mount(destination: target, type: "bind", source: source, options: ["rbind", mode])
    }

    /// Parents before what is mounted below them.
    private static func sorted(_ mounts: [SandboxSpecification.Mount]) -> [SandboxSpecification.Mount] {
        mounts.sorted { ($0.target.utf8.count, $0.target) < ($1.target.utf8.count, $1.target) }
    }

    private static func isInHome(_ mount: SandboxSpecification.Mount) -> Bool {
        mount.target.hasPrefix(BubblewrapCommand.home + "/")
    }
}
