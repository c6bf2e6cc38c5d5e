import DeploymentCore

/// What creates sandboxes: the embedded engine, E2B, or another service.
public protocol SandboxProvider: Sendable {
    /// The name as a manifest writes it: `local`, `e2b`, …
    var name: String { get }

    /// Whether folders of this machine can be shown in its sandboxes; if not, packages are installed and model files
    /// uploaded in each of them.
    var showsHostFolders: Bool { get }

    /// What this provider enforces and offers to whom demands this isolation at least, found by trying it, not by
    /// believing it; nil demands nothing.
    ///
    /// - Throws: `sandbox` when it offers less.
    func capabilities(demanding minimum: Isolation?) async throws -> SandboxCapabilities

    /// Creates a sandbox whose agent answers.
    ///
    /// On an error or cancellation nothing is left over.
    func create(_ specification: SandboxSpecification) async throws -> any Sandbox

    /// The sandboxes that carry our labels, dead or alive.
    func list() async throws -> [SandboxRecord]

    /// Takes hold of a sandbox that an earlier control plane made.
    ///
    /// - Throws: `not_found` when it is gone or its agent no longer answers.
    func adopt(_ id: String) async throws -> any Sandbox

    /// Gives a sandbox that was made ahead its purpose: labels, and model files that it sees from now on, read-only.
    ///
    /// - Returns: where a model's content is inside, by the model's target; a target that is missing is in its place.
    func assign(
        _ id: String, labels: SandboxLabels, models: [SandboxSpecification.Mount]
    ) async throws
        -> [String: String]

    /// Ends a sandbox and removes everything of it; one that does not exist is no error.
    func destroy(_ id: String) async throws
}

extension SandboxProvider {
    /// They can.
    public var showsHostFolders: Bool { true }

    /// What it offers to whom demands nothing.
    public func capabilities() async throws -> SandboxCapabilities { try await capabilities(demanding: nil) }
}

/// What a provider enforces and offers.
public struct SandboxCapabilities: Sendable, Equatable, Codable {
    /// The strongest isolation that was seen working.
    public var isolation: Isolation
    /// Whether a host folder can be mounted read-only, so that nothing has to be uploaded.
    public var mounts: Bool
    /// Whether every sandbox has its own loopback, so that all can listen on the same port.
    public var ownNetwork: Bool
    /// Whether a sandbox has ids of its own, so that `user` and `root` inside differ and are nobody outside.
    public var ownsIdentities: Bool
    /// Which limits hold, and how a sandbox is paused.
    public var enforced: EnforcedLimits
    /// What an app can be kept from reaching.
    public var network: NetworkEnforcement

    /// Creates capabilities.
    public init(
        isolation: Isolation, mounts: Bool, ownNetwork: Bool, ownsIdentities: Bool = false,
        enforced: EnforcedLimits = .nothing, network: NetworkEnforcement = .open
    ) {
        self.isolation = isolation
        self.mounts = mounts
        self.ownNetwork = ownNetwork
        self.ownsIdentities = ownsIdentities
        self.enforced = enforced
        self.network = network
    }
}

/// What is asked of a provider.
public struct SandboxSpecification: Sendable, Equatable {
    /// A fresh id: lower-case letters and digits, at most 32. It is the idempotency key of the creation.
    public var id: String
    /// What the sandbox is for.
    public var labels: SandboxLabels
    /// Host folders and files to show read-only inside.
    public var mounts: [Mount]
    /// The port that the app wants; without a network of its own the sandbox is given another one.
    public var port: Int
    /// What it may use; a limit that is asked for and cannot be enforced fails the creation.
    public var limits: SandboxLimits
    /// The weakest isolation that will do; nil takes what the provider gives.
    public var minimumIsolation: Isolation?
    /// What it may reach; nil is nothing where that can be enforced. A demand that cannot be met fails the creation.
    public var network: NetworkAccess?
    /// Whether those inside can become root inside, where the sandbox has ids of its own.
    public var allowsSudo: Bool
    /// Whether a sandbox in which they cannot will not do.
    public var needsSudo: Bool
    /// The image that the provider makes it from; nil takes the provider's own choice.
    public var template: String?
    /// Folders of the host that those inside write to, with everybody else who mounts them; they outlive the sandbox. A
    /// provider that cannot show them fails the creation.
    public var volumes: [Mount] = []
    /// Whether it begins as one that gives way to its neighbours, until it has kept within its processor limit for a
    /// while; nothing without such a limit.
    public var isYielding = false
    /// Whether it only prepares itself, for a tenth of the processor time of an equal, until it is assigned; nothing where
    /// time cannot be shared out.
    public var isStandby = false

    /// Where the app's folder is inside, absolute; mounts that belong into it have targets beneath.
    public static let appFolder = "/home/user/app"

    /// Creates a specification.
    public init(
        id: String, labels: SandboxLabels, mounts: [Mount] = [], port: Int = Manifest.Server.defaultPort,
        limits: SandboxLimits = SandboxLimits(), minimumIsolation: Isolation? = nil, network: NetworkAccess? = nil,
        allowsSudo: Bool = true, needsSudo: Bool = false, template: String? = nil
    ) {
        self.id = id
        self.labels = labels
        self.mounts = mounts
        self.port = port
        self.limits = limits
        self.minimumIsolation = minimumIsolation
        self.network = network
        self.allowsSudo = allowsSudo
        self.needsSudo = needsSudo
        self.template = template
    }

    /// A host folder or file and its place inside, where it is read-only unless it is a volume.
    public struct Mount: Sendable, Equatable, Codable {
        /// The absolute path on the host.
        public var source: String
        /// The absolute path inside.
        public var target: String

        /// Creates a mount.
        public init(source: String, target: String) {
            self.source = source
            self.target = target
        }
    }
}

/// What a provider knows of a sandbox without talking to it.
public struct SandboxRecord: Sendable, Equatable, Codable {
    /// The sandbox's id.
    public var id: String
    /// What it is for.
    public var labels: SandboxLabels
    /// Whether its first process is alive.
    public var isAlive: Bool
    /// Whether it is paused: its agent does not answer before it is resumed.
    public var isPaused: Bool

    /// Creates a record.
    public init(id: String, labels: SandboxLabels, isAlive: Bool, isPaused: Bool = false) {
        self.id = id
        self.labels = labels
        self.isAlive = isAlive
        self.isPaused = isPaused
    }
}
