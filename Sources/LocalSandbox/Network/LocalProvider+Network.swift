import CPlatform
import DeploymentCore
import Sandboxes

extension NetworkEnforcement {
    /// The first version of Landlock that refuses TCP connections; the filter of system calls refuses everything else.
    private static let landlockWithTCP: Int32 = 4

    /// What a rung of the embedded engine enforces.
    ///
    /// On `landlock` nothing can be opened: it knows ports and no addresses, so a port for a proxy would be a port of
    /// every host. On `gvisor` the agent has no bridge to the proxy.
    public init(_ isolation: Isolation, hasGate: Bool = true) {
        switch isolation {
        case .gvisor: self = .closed
        case .namespaces: self = hasGate ? .filtered : .closed
        case .landlock: self = berth_landlock_abi() >= Self.landlockWithTCP ? .closed : .open
        case .process: self = .open
        }
    }
}

extension LocalProvider {
    /// What becomes of a sandbox's network on a rung.
    func network(of isolation: Isolation) -> NetworkEnforcement {
        NetworkEnforcement(isolation, hasGate: gate != nil)
    }

    /// Opens the way out of a sandbox that has one.
    ///
    /// - Throws: `not_found` when the sandbox was removed meanwhile; nothing is left open then.
    func openWay(of state: SandboxState) async throws {
        guard EgressPort(of: state) != nil, let gate, let access = state.network else { return }
        let folder = sandboxFolder(state.id)
        try await gate.open(
            EgressWay(sandbox: state.id, labels: state.labels, folder: folder.egress, access: access))
        guard try await Blocking.run({ try folder.state() }) == nil else { return }
        await gate.close(state.id)
        throw BerthError(.notFound, "there is no sandbox \(state.id)")
    }
}

extension EmbeddedSandbox {
    /// Replaces what it may reach; connections that are open stay.
    ///
    /// - Throws: `sandbox` when it was made without a way out; `not_found` when it is gone.
    public func permit(_ access: NetworkAccess) async throws {
        let state = try await Blocking.run { [folder, id] in
            guard let state = try folder.state() else { throw BerthError(.notFound, "there is no sandbox \(id)") }
            guard EgressPort(of: state) != nil, !access.isNothing else {
                throw BerthError(.sandbox, "sandbox \(id) has no way out that could be changed")
            }
            // Written first: who adopts it after a crash opens what was asked for last.
            try folder.change { $0.network = access }
            return state
        }
        try await gate?.open(
            EgressWay(sandbox: id, labels: state.labels, folder: folder.egress, access: access))
    }
}

/// The port inside a sandbox that leads to its way out.
struct EgressPort: Sendable, Equatable {
    /// The ports that it is, the second where the app wants the first.
    static let candidates = [49_998, 49_997]
    /// What is in the sandbox itself.
    private static let inside = "127.0.0.1,localhost"

    let number: Int

    /// nil for a sandbox that may reach nothing, or has no network of its own.
    init?(of state: SandboxState) {
        guard !state.isolation.sharesHost, let access = state.network, !access.isNothing,
            let number = Self.candidates.first(where: { $0 != state.port })
        else { return nil }
        self.number = number
    }

    /// What the agent has to know: the bridge, and the variables of everything that it starts.
    var agentArguments: [String] {
        let proxy = "http://127.0.0.1:\(number)"
        let variables =
            ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"].map { "\($0)=\(proxy)" }
            + ["NO_PROXY", "no_proxy"].map { "\($0)=\(Self.inside)" }
        return ["--egress-socket", "\(BubblewrapCommand.egress)/\(EgressWay.socketName)", "--egress-port", "\(number)"]
            + variables.flatMap { ["--env", $0] }
    }
}
