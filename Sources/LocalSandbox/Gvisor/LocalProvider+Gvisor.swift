import DeploymentCore
import Foundation
import Glibc
import Sandboxes

extension LocalProvider {
    /// Host processes and threads that gVisor needs for each process inside, and for itself.
    static let gvisorTasksPerProcess = 4
    static let gvisorTasks = 512

    /// What the demand of a manifest gets: gVisor only where it is asked for, and the strongest other rung otherwise.
    ///
    /// - Throws: `sandbox` when gVisor is asked for and does not run, or when less than the demand is what there is.
    func isolation(for minimum: Isolation?) async throws -> Isolation {
        guard minimum == .gvisor, wanted == nil else {
            let isolation = try await chosenIsolation()
            try isolation.require(minimum)
            return isolation
        }
        let trial = try await gvisorTrial()
        guard trial.works else {
            throw BerthError(
                .sandbox, "the manifest demands isolation \(Isolation.gvisor.rawValue), but \(trial.detail)",
                suggestion: trial.suggestion)
        }
        return .gvisor
    }

    func gvisorTrial() async throws -> GvisorTrial {
        try await Blocking.run { [bubblewrap, runsc] in GvisorTrial.cached(bubblewrap: bubblewrap, runsc: runsc) }
    }

    /// Fills the folder and starts gVisor with the agent in it.
    func spawnInGvisor(
        _ state: SandboxState, _ specification: SandboxSpecification, door: AgentDoor
    ) throws -> Child {
        let folder = sandboxFolder(state.id)
        let trial = GvisorTrial.cached(bubblewrap: bubblewrap, runsc: runsc)
        guard let bubblewrap, let runsc, let platform = trial.platform else {
            throw BerthError(.sandbox, trial.detail, suggestion: trial.suggestion)
        }
        let hostname = MountRules.hostname(state.labels.deployment)
        try makeFolder("\(folder.path)/etc", mode: 0o755)
        for path in [folder.home, folder.app, folder.models] { try makeFolder(path, mode: 0o755) }
        try SystemFiles.write(to: "\(folder.path)/etc", hostname: hostname, user: GvisorCommand.user)
        try MountRules.makeMountPoints(specification.mounts, home: folder.home)
        // Appended to: gVisor writes at offsets of its own.
        let log = try Descriptor(
            opening: "\(folder.path)/\(SandboxFolder.logName)", flags: O_WRONLY | O_CREAT | O_EXCL | O_APPEND)
        let info = try Descriptor(
            opening: "\(folder.path)/\(SandboxFolder.infoName)", flags: O_WRONLY | O_CREAT | O_EXCL)
        let limits = state.limits ?? SandboxLimits()
        let home = BubblewrapCommand.home
        let inhabitant = GvisorCommand.Inhabitant(
            folder: folder, agent: agent, agentArguments: Self.gvisorAgentArguments(state.id), hostname: hostname,
            environment: Self.environment(state.id, home: home), mounts: specification.mounts, limits: limits)
        // Processes inside are counted by gVisor; what the host counts are its own threads.
        var groupLimits = limits
        groupLimits.processes =
            (limits.processes ?? SandboxGroup.defaultProcesses) * Self.gvisorTasksPerProcess + Self.gvisorTasks
        try state.group?.make(groupLimits)
        state.group?.begin(specification)
        let child = try Child.spawn(
            GvisorCommand(bubblewrap: bubblewrap, runsc: runsc, platform: platform).arguments(inhabitant),
            environment: [ProcessTable.marker: state.id], folder: "/",
            descriptors: [
                (try door.takeWriting(), GvisorCommand.readinessNumber), (log, 1), (log, 2),
                (try GvisorTrial.file(GvisorCommand.configuration(inhabitant)), GvisorCommand.configurationNumber),
                (info, GvisorCommand.infoNumber),
            ], entrance: try state.group?.entrance())
        withShared { $0.children[state.id] = child }
        return child
    }

    private static func gvisorAgentArguments(_ id: String) -> [String] {
        let home = BubblewrapCommand.home
        return [
            "--listen-path", GvisorCommand.door, "--ready-fd", "\(GvisorCommand.readinessNumber)", "--relay-ports",
            "--init",
            "--home", home, "--workdir", "\(home)/app", "--user", "user", "--env", "\(ProcessTable.marker)=\(id)",
        ]
    }
}
