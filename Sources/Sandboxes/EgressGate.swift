import DeploymentCore

/// The way out of sandboxes that have no network of their own: a proxy that listens beside each of them.
///
/// A provider opens it for a sandbox that may reach something, again when it adopts the sandbox, and closes it with the
/// sandbox.
public protocol EgressGate: Sendable {
    /// Listens for a sandbox; when it does so already, only what the sandbox is for and may reach is replaced.
    ///
    /// - Throws: `sandbox` when the socket cannot be listened on.
    func open(_ way: EgressWay) async throws

    /// Ends the listener and every connection of a sandbox; one that has none is no error.
    func close(_ sandbox: String) async

    /// What went through since the way was opened here; nil when it is not open.
    func traffic(of sandbox: String) -> EgressTraffic?
}

/// One sandbox's way out.
public struct EgressWay: Sendable, Equatable {
    /// The sandbox's id.
    public var sandbox: String
    /// What the sandbox is for: whose log tells what was refused.
    public var labels: SandboxLabels
    /// The folder on the host, bound into the sandbox, in which the socket is made.
    public var folder: String
    /// What it may reach.
    public var access: NetworkAccess

    /// The socket's name in the folder.
    public static let socketName = "proxy.sock"

    /// Creates a way.
    public init(sandbox: String, labels: SandboxLabels, folder: String, access: NetworkAccess) {
        self.sandbox = sandbox
        self.labels = labels
        self.folder = folder
        self.access = access
    }
}

/// Bytes that went through a way out.
public struct EgressTraffic: Sendable, Equatable, Codable {
    /// From outside to the sandbox.
    public var receivedBytes: Int64
    /// From the sandbox to the outside.
    public var sentBytes: Int64

    /// Creates a count.
    public init(receivedBytes: Int64 = 0, sentBytes: Int64 = 0) {
        self.receivedBytes = receivedBytes
        self.sentBytes = sentBytes
    }
}

/// What becomes of a sandbox's network here.
public enum NetworkEnforcement: String, Sendable, Codable, CaseIterable {
    /// An app reaches whatever the machine reaches; nothing keeps it away.
    case open
    /// An app reaches nothing, and nothing can be opened.
    case closed
    /// An app reaches nothing but what a manifest opens, through a proxy that checks every connection.
    case filtered

    /// Refuses what a manifest demands and cannot be had; nothing is widened or narrowed in silence.
    ///
    /// - Throws: `sandbox`, saying what can be done.
    public func require(_ access: NetworkAccess?) throws {
        guard let access else { return }
        let way = "`berth doctor` says what keeps namespaces from working on this machine"
        switch (self, access) {
        case (.filtered, _), (.closed, .nothing), (.open, .egress): return
        case (.open, _):
            throw BerthError(
                .sandbox,
                "network: \(access.summary) cannot be enforced here: an app reaches whatever this machine reaches",
                suggestion: "leave network out to accept that; \(way)")
        case (.closed, _):
            throw BerthError(
                .sandbox, "network: \(access.summary) cannot be given here: an app reaches nothing without namespaces",
                suggestion: "leave network out if it can do without; \(way)")
        }
    }
}
