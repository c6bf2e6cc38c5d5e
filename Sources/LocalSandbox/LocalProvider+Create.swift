import CPlatform
import DeploymentCore
import Foundation
import Glibc
import Sandboxes

extension LocalProvider {
    /// Connections that may wait for the agent before it runs.
    static let listenBacklog: Int32 = 128
    /// Tries for a port that no other sandbox of ours was given.
    static let portAttempts = 64
    /// The processes of a sandbox with ids of its own that are root's, and not counted as its user's: init and agent.
    static let rootProcesses = 2
    /// How long a launcher that dropped its socket gets to say why.
    static let lastWords = Duration.seconds(1)

    /// Creates a sandbox whose agent answers.
    ///
    /// - Throws: `conflict` when the id is taken, `sandbox` when it cannot be built, with what the launcher said.
    public func create(_ specification: SandboxSpecification) async throws -> any Sandbox {
        let id = specification.id
        try MountRules.check(specification)
        let isolation = try await isolation(for: specification.minimumIsolation)
        try network(of: isolation).require(specification.network)
        try VolumeRules.check(specification, on: isolation)
        guard withShared({ $0.busy.insert(id).inserted }) else {
            throw BerthError(.conflict, "the sandbox \(id) is being made already")
        }
        defer { withShared { _ = $0.busy.remove(id) } }
        let state = try await Blocking.run { try self.begin(specification, isolation) }
        do {
            return try await launch(state, specification)
        } catch {
            // Not part of this task, which may be cancelled; but waited for.
            let failure = await Task { await self.removalFailure(id) }.value
            guard let failure else { throw error }
            throw BerthError(
                .sandbox, "the sandbox \(id) failed, and removing it failed too (\(failure))", cause: error)
        }
    }

    private func removalFailure(_ id: String) async -> (any Error)? {
        do {
            try await remove(id)
            return nil
        } catch {
            return error
        }
    }

    /// Makes the folder with the intent written in it.
    private func begin(_ specification: SandboxSpecification, _ isolation: Isolation) throws -> SandboxState {
        let enforcement = enforcement(isolation)
        try enforcement.check(specification.limits)
        _ = try rootDescriptor()
        let port = isolation.sharesHost ? try reservePort(specification.id) : specification.port
        let group = SandboxGroup(bases: enforcement.groups.bases, engine: folder, id: specification.id)
        let identities = try claimIdentities(specification, isolation)
        let state = SandboxState(
            id: specification.id, labels: specification.labels, isolation: isolation, port: port,
            boot: ProcessTable.boot, process: nil, limits: specification.limits, group: group,
            network: specification.network, identities: identities)
        do {
            try sandboxFolder(specification.id).make(state)
        } catch {
            if let identities { register.release(identities, of: sandboxFolder(specification.id).path) }
            if isolation.sharesHost { withShared { $0.ports[specification.id] = nil } }
            throw error
        }
        return state
    }

    private func launch(_ state: SandboxState, _ specification: SandboxSpecification) async throws -> EmbeddedSandbox {
        let folder = sandboxFolder(state.id)
        try Task.checkCancellation()
        let door = state.isolation == .gvisor ? try AgentDoor(folder) : nil
        let child = try await Blocking.run {
            try door.map { try self.spawnInGvisor(state, specification, door: $0) } ?? self.spawn(state, specification)
        }
        try await openWay(of: state)
        let sandbox = try sandbox(state)
        try await waitForAgent(sandbox, child, folder, door)
        try await Blocking.run {
            var complete = state
            complete.process =
                state.isolation.sharesHost ? ProcessTable.entry(child.pid)?.identity : folder.reportedInit()
            guard complete.process != nil else {
                throw BerthError(.sandbox, "the sandbox \(state.id) ended at once: \(folder.launchLog())")
            }
            try self.limit(complete)
            try folder.update(complete)
        }
        try Task.checkCancellation()
        return sandbox
    }

    /// Fills the folder and starts the first process.
    private func spawn(_ state: SandboxState, _ specification: SandboxSpecification) throws -> Child {
        let folder = sandboxFolder(state.id)
        if state.identities == nil {
            try makeFolder(folder.home, mode: 0o755)
            try makeFolder(folder.app, mode: 0o755)
        }
        let directory = try Descriptor(folder: folder.path)
        let listener = Descriptor(
            try check(
                berth_unix_listen(directory.number, SandboxFolder.socketName, Self.listenBacklog),
                "the socket of sandbox \(state.id) cannot be made"))
        let log = try Descriptor(
            opening: "\(folder.path)/\(SandboxFolder.logName)", flags: O_WRONLY | O_CREAT | O_EXCL | O_APPEND)
        let limits = state.limits ?? SandboxLimits()
        try state.group?.make(limits)
        state.group?.begin(specification)
        let entrance = try state.group?.entrance()
        var descriptors = [(log, 1 as Int32), (log, 2), (listener, BubblewrapCommand.listenerNumber)]
        let child: Child
        switch state.isolation {
        case .namespaces:
            let info = try Descriptor(
                opening: "\(folder.path)/\(SandboxFolder.infoName)", flags: O_WRONLY | O_CREAT | O_EXCL)
            let filter = Descriptor(
                try check(berth_filter_file(BERTH_FILTER_COMMON), "no filter of system calls for sandbox \(state.id)"))
            descriptors += [(info, BubblewrapCommand.infoNumber), (filter, BubblewrapCommand.filterNumber)]
            child = try spawnInNamespaces(state, specification, descriptors: descriptors, entrance: entrance)
        case .gvisor: throw BerthError(.internalError, "gVisor is started in its own way")
        case .process, .landlock:
            child = try spawnOnSharedHost(
                state, specification, environment: Self.environment(state.id, home: folder.home),
                agentArguments: Self.agentArguments(state.id, home: folder.home), descriptors: descriptors,
                entrance: entrance)
        }
        withShared { $0.children[state.id] = child }
        return child
    }

    /// Sets the limits of the agent, which has started nobody yet.
    func limit(_ state: SandboxState) throws {
        let limits = state.limits ?? SandboxLimits()
        // The configuration of gVisor holds them; its agent is no process of the host's.
        guard state.isolation != .gvisor else { return }
        let enforcement = enforcement(state.isolation)
        guard enforcement.needsAgent(limits) else { return }
        guard let agent = SandboxProcesses(folder: sandboxFolder(state.id), state: state).agent else {
            throw BerthError(.sandbox, "the agent of sandbox \(state.id) cannot be found to be limited")
        }
        try enforcement.apply(limits, to: agent.pid, apart: state.identities == nil ? 0 : Self.rootProcesses)
    }

    private static let searchPath = "/usr/local/bin:/usr/bin:/bin"

    /// The agent's own command line; the marker goes to everything that it starts.
    static func agentArguments(_ id: String, home: String) -> [String] {
        [
            "--listen-fd", "\(BubblewrapCommand.listenerNumber)", "--home", home, "--workdir", "\(home)/app", "--user",
            "user", "--env", "\(ProcessTable.marker)=\(id)",
        ]
    }

    /// Variables of the agent.
    static func environment(_ id: String, home: String) -> [String: String] {
        [
            "HOME": home, "USER": "user", "LOGNAME": "user", "LANG": "C.UTF-8", "PATH": searchPath,
            ProcessTable.marker: id,
        ]
    }

    /// Waits for the agent's first answer and for the launcher's end at once.
    private func waitForAgent(
        _ sandbox: EmbeddedSandbox, _ child: Child, _ folder: SandboxFolder, _ door: AgentDoor?
    ) async throws {
        let watch = try child.watchDescriptor()
        let failure: (any Error)? = await withTaskGroup(of: (any Error)?.self) { group in
            group.addTask {
                do {
                    try await door?.open(limit: Self.answerTimeout)
                    try await sandbox.envd.checkHealth(timeout: Self.answerTimeout)
                    return nil
                } catch {
                    return error
                }
            }
            group.addTask {
                do {
                    try await ExitWatch.wait(watch)
                    return BerthError(.sandbox, "the launcher ended")
                } catch {
                    return error
                }
            }
            defer { group.cancelAll() }
            return await group.next() ?? nil
        }
        try Task.checkCancellation()
        guard let failure else { return }
        // The socket breaks a moment before the process has ended.
        let status = try await Blocking.run { child.wait(limit: Self.lastWords) }
        let log = folder.launchLog()
        guard let status else {
            throw BerthError(.sandbox, "the agent of sandbox \(sandbox.id) does not answer: \(log)", cause: failure)
        }
        throw BerthError(
            .sandbox, "the sandbox \(sandbox.id) ended with \(status) before its agent answered: \(log)",
            suggestion: !sandbox.isolation.sharesHost ? NamespaceTrial.suggestion(log) : nil)
    }

    /// A port of 127.0.0.1 that is free now and that no other sandbox of ours was given.
    private func reservePort(_ id: String) throws -> Int {
        let taken = Set(try storedPorts())
        for _ in 0..<Self.portAttempts {
            let port = Int(try check(berth_free_port(), "no free port for sandbox \(id)"))
            let isOurs = withShared { shared in
                guard !taken.contains(port), !shared.ports.values.contains(port) else { return false }
                shared.ports[id] = port
                return true
            }
            if isOurs { return port }
        }
        throw BerthError(.sandbox, "no free port for sandbox \(id) after \(Self.portAttempts) tries")
    }

    /// The ports of sandboxes that an earlier control plane made.
    private func storedPorts() throws -> [Int] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.filter(SandboxFolder.isValid).compactMap { id in
            guard let state = try? sandboxFolder(id).state(), state.isolation.sharesHost else { return nil }
            return state.port
        }
    }
}
