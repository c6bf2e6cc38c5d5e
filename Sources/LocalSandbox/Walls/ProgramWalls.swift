import DeploymentCore

/// Walls around a program of the host that handles other people's files, such as an installer of packages.
///
/// It sees the system read-only, what it is given, and nothing else of the disk or of other processes; it has no
/// capabilities and a home that is empty. It is no sandbox: it ends with its process group, and nothing outlives it.
public struct ProgramWalls: Sendable {
    private let bubblewrap: String

    /// The walls that this machine can build; nil where user namespaces are blocked or bubblewrap is missing.
    public static func find() async throws -> ProgramWalls? {
        try await Blocking.run {
            guard let bubblewrap = BubblewrapCommand.find(), NamespaceTrial.cached(bubblewrap).works else { return nil }
            return ProgramWalls(bubblewrap: bubblewrap)
        }
    }

    /// What a resolver of names reads.
    private static let network = [
        "/etc/resolv.conf", "/etc/hosts", "/etc/host.conf", "/etc/nsswitch.conf", "/etc/gai.conf", "/etc/services",
    ]

    /// The words to put before a command.
    ///
    /// - Parameters:
    ///   - readable: Files and folders that it reads, absolute; one that is not there is left out.
    ///   - writable: Folders that it writes, absolute.
    ///   - network: Whether it uses the host's network, or has none.
    public func prefix(readable: [String], writable: [String], network: Bool) -> [String] {
        // In the caller's session and group, so that whoever ends the group ends everything inside.
        var words = [
            bubblewrap, "--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try",
            "--disable-userns", "--cap-drop", "ALL",
        ]
        if !network { words.append("--unshare-net") }
        words += BubblewrapCommand(program: bubblewrap).system()
        let reads = (network ? Self.network : []) + readable.filter { !$0.hasPrefix("/usr/") }
        let mounts = reads.map { ("--ro-bind-try", $0) } + writable.map { ("--bind", $0) }
        // Parents before what lies below them.
        for (option, path) in mounts.sorted(by: { ($0.1.utf8.count, $0.1) < ($1.1.utf8.count, $1.1) }) {
            words += [option, path, path]
        }
        return words + ["--remount-ro", "/", "--"]
    }
}
