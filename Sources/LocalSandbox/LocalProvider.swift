import CurlClient
import DeploymentCore
import Foundation
import Glibc
import Sandboxes

/// The embedded engine: sandboxes made of Linux namespaces by bubblewrap, or plain processes where those are blocked.
///
/// A sandbox lives in a folder of its own and outlives this object and its process. One control plane at a time works
/// on a folder.
public final class LocalProvider: SandboxProvider {
    /// The time until a new sandbox's agent has to answer.
    public static let answerTimeout = Duration.seconds(10)
    /// The time until an adopted sandbox's agent has to answer.
    public static let adoptTimeout = Duration.seconds(5)
    /// The time until every process of a destroyed sandbox has to be gone.
    public static let endTimeout = Duration.seconds(5)
    /// How old an unfinished folder has to be before it counts as left over, in seconds.
    static let draftAge = 60

    /// `local`.
    public let name = "local"

    let folder: String
    let agent: String
    let client: CurlClient
    let announce: @Sendable (String) -> Void
    let gate: (any EgressGate)?
    let bubblewrap: String?
    let runsc: String?
    let watches = SandboxWatches()
    /// What holds the limits of sandboxes of an isolation; may try it out, and so take its time.
    let enforcement: @Sendable (Isolation) -> LimitEnforcement
    /// The ids that sandboxes can have; may try them out, and so take its time.
    let identities: @Sendable () -> IdentityOffer
    let register = IdentityRegister.own
    let wanted: Isolation?
    private let shared = Locked(Shared())

    /// What several calls work on.
    struct Shared {
        var root: Descriptor?
        var isolation: Isolation?
        /// Sandboxes that are being made.
        var busy: Set<String> = []
        /// Processes that we started and have to collect.
        var children: [String: Child] = [:]
        /// The ports of sandboxes without a network of their own.
        var ports: [String: Int] = [:]
        /// Sandboxes that are being removed.
        var ending: [String: Task<Void, any Error>] = [:]
        /// What is known of the sandboxes that somebody here holds.
        var vitals: [String: Vitals] = [:]
    }

    /// Creates a provider; nothing is touched before the first call.
    ///
    /// - Parameters:
    ///   - folder: Where the sandboxes' folders are made; absolute, of this user alone.
    ///   - agent: The static `berth-agent` executable.
    ///   - isolation: What every sandbox gets; nil is the strongest that works here, announced when it is a weak one.
    ///   - client: Speaks to the agents; has to outlive the sandboxes' use.
    ///   - identities: Whether sandboxes get ids of their own where the host grants some.
    ///   - announce: Is told, once each, what a user has to know.
    ///   - gate: The way out of sandboxes that may reach something; without it none may.
    public convenience init(
        folder: String, agent: String, isolation: Isolation?, client: CurlClient, identities: Bool = true,
        announce: @escaping @Sendable (String) -> Void = { _ in }, gate: (any EgressGate)? = nil
    ) {
        let bubblewrap = BubblewrapCommand.find()
        self.init(
            folder: folder, agent: agent, isolation: isolation, client: client, announce: announce, gate: gate,
            bubblewrap: bubblewrap,
            identities: { identities ? IdentityOffer.cached(bubblewrap) : IdentityOffer.refused })
    }

    init(
        folder: String, agent: String, isolation: Isolation?, client: CurlClient,
        announce: @escaping @Sendable (String) -> Void, gate: (any EgressGate)? = nil, bubblewrap: String?,
        enforcement: @escaping @Sendable (Isolation) -> LimitEnforcement = LimitEnforcement.cached,
        identities: @escaping @Sendable () -> IdentityOffer, runsc: String? = GvisorCommand.find()
    ) {
        self.folder = folder.count > 1 && folder.hasSuffix("/") ? String(folder.dropLast()) : folder
        self.agent = agent
        self.client = client
        self.announce = announce
        self.gate = gate
        self.bubblewrap = bubblewrap
        self.runsc = runsc
        self.enforcement = enforcement
        self.identities = identities
        wanted = isolation
    }

    /// What was seen working and is enough; under `process` mounts are the host's own paths, which nothing protects.
    public func capabilities(demanding minimum: Isolation?) async throws -> SandboxCapabilities {
        let isolation = try await isolation(for: minimum)
        let (enforced, ownsIdentities) = try await Blocking.run {
            (self.enforcement(isolation).enforced, isolation == .namespaces && self.identities().grant != nil)
        }
        return SandboxCapabilities(
            isolation: isolation, mounts: true, ownNetwork: !isolation.sharesHost, ownsIdentities: ownsIdentities,
            enforced: enforced, network: network(of: isolation))
    }

    /// The sandboxes in the folder, dead or alive; those of another boot are dead.
    public func list() async throws -> [SandboxRecord] {
        try await Blocking.run {
            guard let entries = try? FileManager.default.contentsOfDirectory(atPath: self.folder) else { return [] }
            for name in entries where name.hasPrefix(SandboxFolder.draftPrefix) { self.sweepDraft(name) }
            self.sweepGroups()
            return entries.filter(SandboxFolder.isValid).sorted().compactMap { id in
                let folder = self.sandboxFolder(id)
                do {
                    guard let state = try folder.state() else { return nil }
                    return SandboxRecord(
                        id: id, labels: state.labels, isAlive: Self.process(of: state, folder) != nil,
                        isPaused: state.paused != nil)
                } catch {
                    // Ours by its place and unreadable, as after a power cut: it serves nobody and can be removed.
                    let labels = SandboxLabels(deployment: "", nonce: "", rollout: "")
                    return SandboxRecord(id: id, labels: labels, isAlive: false)
                }
            }
        }
    }

    /// Takes hold of a sandbox that an earlier control plane made.
    public func adopt(_ id: String) async throws -> any Sandbox {
        guard SandboxFolder.isValid(id) else { throw BerthError(.notFound, "\(id) is not a sandbox's id") }
        let folder = sandboxFolder(id)
        let (state, process) = try await Blocking.run {
            guard var state = try folder.state() else { throw BerthError(.notFound, "there is no sandbox \(id)") }
            guard let process = Self.process(of: state, folder) else {
                throw BerthError(.notFound, "the sandbox \(id) has ended")
            }
            defer { state.process = process }
            return (state, process)
        }
        let sandbox = try sandbox(state)
        // A paused one stays so: its agent answers once it is resumed.
        if !sandbox.isPaused {
            do {
                try await sandbox.envd.checkHealth(timeout: Self.adoptTimeout)
            } catch let error as BerthError {
                throw BerthError(.notFound, "the agent of sandbox \(id) does not answer", cause: error)
            }
        }
        if state.process == nil {
            // The control plane ended between the start and writing it down.
            try await Blocking.run {
                var complete = state
                complete.process = process
                try self.limit(complete)
                try folder.change { $0.process = process }
            }
        }
        if state.isolation.sharesHost { shared.withLock { $0.ports[id] = state.port } }
        try await openWay(of: state)
        return sandbox
    }

    /// Ends every process of a sandbox and removes its folder.
    ///
    /// - Throws: `sandbox` when a process outlives SIGKILL by 5 s or a file cannot be removed; the folder and its state
    ///   stay then, so that it can be tried again. `conflict` while the sandbox is being made.
    public func destroy(_ id: String) async throws {
        guard SandboxFolder.isValid(id) else { throw BerthError(.sandbox, "\(id) is not a sandbox's id") }
        guard !withShared({ $0.busy.contains(id) }) else {
            throw BerthError(.conflict, "the sandbox \(id) is still being made")
        }
        // Those who ask while it ends wait for the same end: two removals would trip over each other.
        let ending = withShared { shared in
            if let ending = shared.ending[id] { return ending }
            let ending = Task {
                defer { self.withShared { $0.ending[id] = nil } }
                try await self.remove(id)
            }
            shared.ending[id] = ending
            return ending
        }
        try await ending.value
    }
}

extension LocalProvider {
    func withShared<Result>(_ body: (inout Shared) throws -> Result) rethrows -> Result { try shared.withLock(body) }

    func sandboxFolder(_ id: String) -> SandboxFolder { SandboxFolder(root: folder, id: id) }

    /// The folder of all sandboxes, made when it is not there.
    func rootDescriptor() throws -> Descriptor {
        if let root = withShared({ $0.root }) { return root }
        do {
            try FileManager.default.createDirectory(
                atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch {
            throw BerthError(.sandbox, "\(folder) cannot be made", cause: error)
        }
        let opened = try Descriptor(folder: folder)
        return withShared { shared in
            let root = shared.root ?? opened
            shared.root = root
            return root
        }
    }

    /// What a new sandbox gets; the strongest rung is found by trying, once.
    func chosenIsolation() async throws -> Isolation {
        if let isolation = wanted ?? withShared({ $0.isolation }) { return isolation }
        let (trial, confined) = try await Blocking.run {
            let trial = NamespaceTrial.cached(self.bubblewrap)
            return (trial, trial.works ? nil : LandlockTrial.cached(self.agent))
        }
        let isolation: Isolation = trial.works ? .namespaces : confined?.works == true ? .landlock : .process
        let isNew = withShared { shared in
            defer { shared.isolation = isolation }
            return shared.isolation == nil
        }
        if isNew, !trial.works {
            let instead = confined?.works == true ? "processes behind Landlock" : "plain processes without isolation"
            announce("sandboxes are \(instead): \(trial.detail)")
        }
        return isolation
    }

    /// The object for a sandbox whose agent listens.
    func sandbox(_ state: SandboxState) throws -> EmbeddedSandbox {
        let vitals = withShared { shared in
            let vitals = shared.vitals[state.id] ?? Vitals(isPaused: state.paused != nil)
            shared.vitals[state.id] = vitals
            return vitals
        }
        let folder = sandboxFolder(state.id)
        watches.start(state.id, LimitWatch(SandboxProcesses(folder: folder, state: state), vitals))
        return EmbeddedSandbox(
            state: state, folder: folder, vitals: vitals, root: try rootDescriptor(), client: client,
            network: network(of: state.isolation), gate: gate)
    }

    /// The process that a sandbox lives as long as; nil when it has ended.
    static func process(of state: SandboxState, _ folder: SandboxFolder) -> ProcessIdentity? {
        guard state.boot == ProcessTable.boot else { return nil }
        if let process = state.process { return ProcessTable.isAlive(process) ? process : nil }
        if !state.isolation.sharesHost {
            return folder.reportedInit().flatMap { ProcessTable.isAlive($0) ? $0 : nil }
        }
        // The agent leads its session; what it started belongs to other ones or came later.
        let members = ProcessTable.members(of: state.id, roots: []).filter { $0.session == $0.identity.pid }
        return members.min { $0.identity.startTime < $1.identity.startTime }?.identity
    }

    /// Removes the control groups of sandboxes whose folder is gone.
    private func sweepGroups() {
        SandboxGroup.sweep(bases: ControlGroups.cached().bases, engine: folder) { id in
            access(self.sandboxFolder(id).path, F_OK) == 0
        }
    }

    /// Removes a folder that never became a sandbox, once it is old enough to be nobody's work in progress.
    private func sweepDraft(_ name: String) {
        var status = stat()
        guard lstat("\(folder)/\(name)", &status) == 0, time(nil) - status.st_mtim.tv_sec > Self.draftAge,
            let root = try? rootDescriptor()
        else { return }
        try? FolderRemoval.remove(name, in: root, last: SandboxFolder.stateName)
    }
}
