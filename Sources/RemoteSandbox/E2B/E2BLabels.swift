import DeploymentCore
import E2BProtocol
import Sandboxes

/// What we write into a sandbox's metadata, so that ours are found again and those of others are left alone.
struct E2BLabels: Sendable, Equatable {
    /// The control plane that made it.
    var owner: String
    /// Our own id of it.
    var sandbox: String
    /// What it is for.
    var labels: SandboxLabels
    /// The port of the app.
    var port: Int
    /// What it may reach, in a few words.
    var network: String

    private enum Name {
        static let owner = "berth-owner"
        static let sandbox = "berth-sandbox"
        static let deployment = "berth-deployment"
        static let nonce = "berth-nonce"
        static let rollout = "berth-rollout"
        static let port = "berth-port"
        static let network = "berth-network"
    }

    init(owner: String, specification: SandboxSpecification) {
        self.owner = owner
        sandbox = specification.id
        labels = specification.labels
        port = specification.port
        network = (specification.network ?? .nothing).summary
    }

    /// Nil when it is none of ours.
    init?(_ metadata: [String: String]) {
        guard let owner = metadata[Name.owner], let sandbox = metadata[Name.sandbox] else { return nil }
        self.owner = owner
        self.sandbox = sandbox
        labels = SandboxLabels(
            deployment: metadata[Name.deployment] ?? "", nonce: metadata[Name.nonce] ?? "",
            rollout: metadata[Name.rollout] ?? "")
        port = metadata[Name.port].flatMap { Int($0) } ?? Manifest.Server.defaultPort
        network = metadata[Name.network] ?? NetworkEnforcement.open.rawValue
    }

    var metadata: [String: String] {
        [
            Name.owner: owner, Name.sandbox: sandbox, Name.deployment: labels.deployment, Name.nonce: labels.nonce,
            Name.rollout: labels.rollout, Name.port: "\(port)", Name.network: network,
        ]
    }

    /// What all sandboxes of an owner carry.
    static func all(of owner: String) -> [String: String] { [Name.owner: owner] }

    /// What one sandbox of an owner carries.
    static func one(_ sandbox: String, of owner: String) -> [String: String] {
        [Name.owner: owner, Name.sandbox: sandbox]
    }
}
