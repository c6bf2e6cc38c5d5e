import DeploymentCore

/// A deployment as clients see it.
public struct DeploymentResource: Codable, Sendable, Equatable {
    /// The name.
    public var name: String
    /// `serving`, `starting`, `restarting`, `failed`, `paused`, `asleep`, `waking`, `ending` or `inactive`.
    public var state: String
    /// The revision that has the traffic.
    public var revision: Int?
    /// The value of `X-Berth-Revision` in its answers.
    public var nonce: String?
    /// The URL of predictions.
    public var url: String
    /// The sandbox that serves it.
    public var sandbox: String?
    /// How far that sandbox is isolated.
    public var isolation: Isolation?
    /// What its app can reach, in a few words: `none`, `egress`, `2 hosts`, or `open` where nothing keeps it from anything.
    public var network: String?
    /// How often it was restarted since it was promoted.
    public var restarts: Int
    /// Requests since the control plane started.
    public var requests: Int
    /// Requests under way.
    public var inFlight: Int
    /// Why it does not serve, when it does not.
    public var reason: String?
    /// The rollout that runs.
    public var rollout: String?
    /// The stage of that rollout.
    public var stage: RolloutStage?
    /// The sandboxes that are ready to become its next replica; nil from a control plane that does not say.
    public var standbys: Int?
    /// When its revision was made, in milliseconds since 1970.
    public var createdAt: Int64
    /// Since when it sleeps without a sandbox, in milliseconds since 1970; nil when it does not.
    public var asleepSince: Int64?
    /// When it is destroyed, in milliseconds since 1970; nil is never.
    public var expiresAt: Int64?
    /// Whether its sandbox has ids of its own, so that root inside is nobody outside; nil when that is not known.
    public var ownsIdentities: Bool?

    /// Creates a resource.
    public init(
        name: String, state: String, revision: Int?, nonce: String?, url: String, sandbox: String?,
        isolation: Isolation?, network: String? = nil, restarts: Int, requests: Int, inFlight: Int, reason: String?,
        rollout: String?, stage: RolloutStage?, standbys: Int?, createdAt: Int64, asleepSince: Int64? = nil,
        expiresAt: Int64? = nil, ownsIdentities: Bool? = nil
    ) {
        self.asleepSince = asleepSince
        self.expiresAt = expiresAt
        self.name = name
        self.standbys = standbys
        self.state = state
        self.revision = revision
        self.nonce = nonce
        self.url = url
        self.sandbox = sandbox
        self.isolation = isolation
        self.network = network
        self.restarts = restarts
        self.requests = requests
        self.inFlight = inFlight
        self.reason = reason
        self.rollout = rollout
        self.stage = stage
        self.createdAt = createdAt
        self.ownsIdentities = ownsIdentities
    }
}

/// A revision as clients see it.
public struct RevisionResource: Codable, Sendable, Equatable {
    /// The number.
    public var number: Int
    /// `pending`, `active`, `superseded` or `failed`.
    public var status: String
    /// The digest of its files.
    public var bundle: String
    /// The digest of its environment.
    public var environment: String
    /// When it was made, in milliseconds since 1970.
    public var createdAt: Int64
    /// Why its last rollout failed.
    public var failure: String?

    /// Creates a resource.
    public init(
        number: Int, status: String, bundle: String, environment: String, createdAt: Int64, failure: String?
    ) {
        self.number = number
        self.status = status
        self.bundle = bundle
        self.environment = environment
        self.createdAt = createdAt
        self.failure = failure
    }
}

/// What a control plane says of itself.
public struct ServerResource: Codable, Sendable, Equatable {
    /// The version of Berth.
    public var version: String
    /// Its process.
    public var pid: Int32
    /// Where predictions go.
    public var gateway: String
    /// The isolation that new sandboxes get.
    public var isolation: Isolation

    /// Creates a resource.
    public init(version: String, pid: Int32, gateway: String, isolation: Isolation) {
        self.version = version
        self.pid = pid
        self.gateway = gateway
        self.isolation = isolation
    }
}

/// A list of digests: what a client has, or what the control plane lacks.
public struct BlobList: Codable, Sendable, Equatable {
    /// 64 lower-case hex digits each; at most 20,000.
    public var digests: [String]

    /// The longest list.
    public static let maximumCount = 20_000

    /// Creates a list.
    public init(digests: [String]) { self.digests = digests }
}

/// Which revision to roll back to; the newest earlier one that had the traffic when nil.
public struct RollbackRequest: Codable, Sendable, Equatable {
    /// The number.
    public var revision: Int?

    /// Creates a request.
    public init(revision: Int? = nil) { self.revision = revision }
}
