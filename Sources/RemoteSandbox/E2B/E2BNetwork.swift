import DeploymentCore
import E2BProtocol

extension SandboxNetworkSettings {
    /// Every address there is.
    private static let everything = "0.0.0.0/0"

    /// What a manifest opens, in E2B's words.
    ///
    /// - Throws: `sandbox` for a host with a port of its own, which E2B has no word for.
    init(_ access: NetworkAccess?) throws {
        switch access ?? .nothing {
        case .nothing: self.init(denied: [Self.everything])
        case .egress: self.init()
        case .hosts(let rules): self.init(allowed: try Self.words(for: rules), denied: [Self.everything])
        case .egressExcept(let networks, let rules):
            self.init(allowed: try Self.words(for: rules), denied: networks.map(\.description))
        }
    }

    private static func words(for rules: [HostRule]) throws -> [String] {
        if let rule = rules.first(where: { $0.port != nil }) {
            throw BerthError(
                .sandbox, "network: \(rule) cannot be given by E2B, which opens hosts on every port",
                suggestion: "write the host without its port")
        }
        return rules.map(\.description)
    }
}
