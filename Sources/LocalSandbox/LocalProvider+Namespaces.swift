import CPlatform
import DeploymentCore
import Glibc
import Sandboxes

extension LocalProvider {
    /// The mode of a sandbox's folder while its launcher makes what belongs to the ids inside; the folder of all
    /// sandboxes is closed to everyone else.
    private static let stagedMode: mode_t = 0o703

    /// The ids for a new sandbox; nil where it has one user.
    func claimIdentities(
        _ specification: SandboxSpecification, _ isolation: Isolation
    ) throws -> IdentityRange? {
        let offer = isolation == .namespaces ? identities() : nil
        let grant = offer?.grant
        // A plain user cannot look into what other ids close to him, and so not hold a limit on it.
        let isMeasured = !(grant?.needsHelpers ?? false) || specification.limits.disk == nil
        guard let grant, isMeasured else {
            guard specification.needsSudo else { return nil }
            let reason = isMeasured ? offer?.detail ?? "one user" : "one user where a plain user limits their disk"
            throw BerthError(
                .sandbox, "the manifest demands sudo, but sandboxes here have \(reason)",
                suggestion: offer?.suggestion ?? "`berth doctor` says what keeps sandboxes from ids of their own")
        }
        if specification.needsSudo, !offersSudo(specification) {
            throw BerthError(
                .sandbox,
                "the limit resources.processes cannot be enforced here together with sudo: root inside has many users, "
                    + "and without control groups each is counted by itself",
                suggestion: "leave one of them out, or start berth in a control group of its own: "
                    + "systemd-run --user --scope -p Delegate=yes")
        }
        guard specification.volumes.isEmpty else { return IdentityRegister.volumes(grant) }
        return try register.claim(grant, for: sandboxFolder(specification.id).path)
    }

    /// Whether those inside may become root: not where a limit would not hold for root's other users.
    private func offersSudo(_ specification: SandboxSpecification) -> Bool {
        specification.allowsSudo
            && (specification.limits.processes == nil || enforcement(.namespaces).enforced.processes != .rlimit)
    }

    /// Starts bubblewrap around an agent.
    func spawnInNamespaces(
        _ state: SandboxState, _ specification: SandboxSpecification, descriptors: [(Descriptor, Int32)],
        entrance: GroupEntrance?
    ) throws -> Child {
        guard let bubblewrap else { throw NamespaceTrial.missing }
        let folder = sandboxFolder(state.id)
        let hostname = MountRules.hostname(state.labels.deployment)
        let hasIdentities = state.identities != nil
        try makeFolder(folder.etc, mode: 0o755)
        try makeFolder(folder.models, mode: 0o755)
        let exit = EgressPort(of: state)
        if exit != nil { try makeFolder(folder.egress, mode: 0o755) }
        for path in [folder.etc, folder.models] + (exit == nil ? [] : [folder.egress]) {
            guard chmod(path, 0o755) == 0 else { throw BerthError.system(errno, "\(path) cannot be made readable") }
        }
        try SystemFiles.write(to: folder.etc, hostname: hostname, hasRoot: hasIdentities)
        try SystemFiles.makePlaces(in: folder.etc)
        var agentArguments =
            Self.agentArguments(state.id, home: BubblewrapCommand.home) + (exit?.agentArguments ?? [])
        let environment = Self.environment(state.id, home: BubblewrapCommand.home)
        let command = BubblewrapCommand(program: bubblewrap, hasIdentities: hasIdentities)
        // bubblewrap's own environment can be read inside, at /proc/1/environ.
        let own = [ProcessTable.marker: state.id]
        let volumes = specification.volumes
        for volume in volumes { try VolumeRules.prepare(volume.source, for: state.identities) }
        guard let range = state.identities else {
            try MountRules.makeMountPoints(specification.mounts + volumes, home: folder.home)
            let arguments = command.arguments(
                folder: folder, agent: agent, hostname: hostname, environment: environment,
                mounts: specification.mounts, volumes: volumes, hasWayOut: exit != nil,
                agentArguments: agentArguments)
            return try Child.spawn(
                arguments, environment: own, folder: "/", descriptors: descriptors, entrance: entrance)
        }
        agentArguments += ["--identities"] + (offersSudo(specification) ? ["--sudo"] : [])
        try Self.requireReadable([agent] + specification.mounts.map(\.source))
        var sources = ["home", folder.etc, folder.models, agent]
        var numbers = [folder.home: 0, folder.etc: 1, folder.models: 2, agent: 3]
        if exit != nil {
            numbers[folder.egress] = sources.count
            sources.append(folder.egress)
        }
        for mount in specification.mounts + volumes where numbers[mount.source] == nil {
            numbers[mount.source] = sources.count
            sources.append(mount.source)
        }
        let arguments = command.arguments(
            folder: folder, agent: agent, hostname: hostname, environment: environment, mounts: specification.mounts,
            volumes: volumes, hasWayOut: exit != nil, agentArguments: agentArguments
        ) { numbers[$0].map(Stage.path) ?? $0 }
        let stage = Stage(
            namespace: try UserNamespace.open(range, needsHelpers: getuid() != 0),
            folder: folder.path,
            made: ["home/", "home/app/"] + (try MountRules.mountPoints(specification.mounts + volumes)),
            sources: sources)
        guard chmod(folder.path, Self.stagedMode) == 0 else {
            throw BerthError.system(errno, "\(folder.path) cannot be opened for the ids inside")
        }
        defer { chmod(folder.path, 0o700) }
        return try Child.spawn(
            arguments, environment: own, descriptors: descriptors, entrance: entrance, stage: stage)
    }

    /// What is shown belongs to somebody whom those inside are not.
    private static func requireReadable(_ sources: [String]) throws {
        for source in sources {
            var status = stat()
            guard stat(source, &status) == 0 else { throw BerthError.system(errno, "\(source) cannot be mounted") }
            let needed: mode_t = status.st_mode & S_IFMT == S_IFDIR ? 0o005 : 0o004
            guard status.st_mode & needed == needed else {
                throw BerthError(
                    .sandbox, "\(source) cannot be mounted: it is closed to others, and so to the ids of a sandbox",
                    suggestion: "open it (chmod o+rX) and close a folder above it instead, or set BERTH_IDS=off")
            }
        }
    }
}
