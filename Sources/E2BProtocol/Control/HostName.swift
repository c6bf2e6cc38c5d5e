import DeploymentCore

/// The host `{port}-{sandbox}.{domain}` of one port of one sandbox (protocol note 2.1 and 2.4).
public struct HostName: Sendable, Equatable {
    /// The port inside.
    public var port: Int
    /// The sandbox's id.
    public var sandbox: String

    /// The port of the agent.
    public static let agentPort = 49_983
    /// The port of the code interpreter, and of a deployment's app.
    public static let appPort = 49_999

    /// Creates a name.
    public init(port: Int, sandbox: String) {
        self.port = port
        self.sandbox = sandbox
    }

    /// Reads the leftmost label of a host without its port; further parts behind a `-` are ignored, as the hosted proxy
    /// does. Nil when it is no such name.
    public init?(host: String) {
        let label = host.prefix { $0 != "." }
        let parts = label.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count >= 2, !parts[0].isEmpty, parts[0].utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let port = Int(parts[0]), (1...65_535).contains(port), Self.isValid(parts[1])
        else { return nil }
        self.init(port: port, sandbox: String(parts[1]))
    }

    /// The host below `domain`, which may carry the port of the listener.
    public func text(domain: String) -> String { "\(port)-\(sandbox).\(domain)" }

    /// Whether a text can be a sandbox's id: `[a-z0-9]+`, at most 63 bytes.
    public static func isValid(_ id: some StringProtocol) -> Bool {
        !id.isEmpty && id.utf8.count <= 63
            && id.utf8.allSatisfy { (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) }
    }
}
