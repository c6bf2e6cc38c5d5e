import DeploymentCore

/// The named, long-lived thing.
public struct DeploymentRecord: Codable, Sendable, Equatable {
    /// The name; also the route.
    public var name: String
    /// The revision that has the traffic; nil before the first promotion.
    public var activeRevision: Int?
    /// When it was first deployed, in milliseconds since 1970.
    public var createdAt: Int64
    /// Made by `berth test`: not listed, never exposed, forgotten after a while.
    public var isEphemeral: Bool
    /// Since when it sleeps, in milliseconds since 1970: it has a revision and, by intent, no replica. Nil when awake.
    public var asleepSince: Int64?
    /// When it is destroyed, in milliseconds since 1970; nil is never.
    public var expiresAt: Int64?
    /// Whether its end has begun: whatever of it is left is to be removed, and nothing starts any more.
    public var isEnding: Bool

    /// Creates a record.
    public init(
        name: String, activeRevision: Int? = nil, createdAt: Int64, isEphemeral: Bool = false,
        asleepSince: Int64? = nil, expiresAt: Int64? = nil, isEnding: Bool = false
    ) {
        self.asleepSince = asleepSince
        self.expiresAt = expiresAt
        self.isEnding = isEnding
        self.name = name
        self.activeRevision = activeRevision
        self.createdAt = createdAt
        self.isEphemeral = isEphemeral
    }
}

/// An immutable numbered snapshot: everything needed to start it again without the user's folder.
public struct RevisionRecord: Codable, Sendable, Equatable {
    /// The deployment's name.
    public var deployment: String
    /// Counted from 1 within the deployment, never reused.
    public var number: Int
    /// What its answers carry in `X-Berth-Revision`.
    public var nonce: String
    /// The manifest as JSON.
    public var manifest: String
    /// The bundle as JSON: every file with its digest. Empty until rendered.
    public var bundle: String
    /// The digest of the bundle.
    public var bundleDigest: String
    /// The hashed lock of the requirements.
    public var lock: String
    /// The digest of the environment; empty until built.
    public var environmentDigest: String
    /// When it was made, in milliseconds since 1970.
    public var createdAt: Int64
    /// Where it stands.
    public var status: Status

    /// Where a revision stands.
    public enum Status: String, Codable, Sendable {
        /// Its rollout has not ended.
        case pending
        /// It has the traffic.
        case active
        /// It had the traffic.
        case superseded
        /// Its rollout failed or was cancelled.
        case failed
    }

    /// Creates a record.
    public init(
        deployment: String, number: Int, nonce: String, manifest: String, bundle: String = "",
        bundleDigest: String = "", lock: String, environmentDigest: String = "", createdAt: Int64,
        status: Status = .pending
    ) {
        self.deployment = deployment
        self.number = number
        self.nonce = nonce
        self.manifest = manifest
        self.bundle = bundle
        self.bundleDigest = bundleDigest
        self.lock = lock
        self.environmentDigest = environmentDigest
        self.createdAt = createdAt
        self.status = status
    }
}

/// Moving a deployment to a revision.
public struct RolloutRecord: Codable, Sendable, Equatable {
    /// `rol_` and 16 characters.
    public var id: String
    /// The deployment's name.
    public var deployment: String
    /// The revision it moves to.
    public var revision: Int
    /// What asked for it.
    public var kind: Kind
    /// Where it stands.
    public var status: Status
    /// The stage it is in, or ended in.
    public var stage: RolloutStage
    /// The report of the stages and smoke tests as JSON; empty until it ended.
    public var report: String
    /// The failure as JSON; empty when there is none.
    public var failure: String
    /// When it began, in milliseconds since 1970.
    public var startedAt: Int64
    /// When it ended.
    public var finishedAt: Int64?

    /// What asked for a rollout.
    public enum Kind: String, Codable, Sendable {
        case deploy
        case rollback
        /// `berth test`: everything but the expose stage, beside what runs.
        case test
    }

    /// Where a rollout stands.
    public enum Status: String, Codable, Sendable {
        case running
        /// The revision has the traffic; for a test: everything passed.
        case promoted
        case failed
        case cancelled
        /// The control plane ended while it ran; everything of it was undone at the next start.
        case interrupted
    }

    /// Creates a record.
    public init(
        id: String, deployment: String, revision: Int, kind: Kind, status: Status = .running,
        stage: RolloutStage = .artifacts, report: String = "", failure: String = "", startedAt: Int64,
        finishedAt: Int64? = nil
    ) {
        self.id = id
        self.deployment = deployment
        self.revision = revision
        self.kind = kind
        self.status = status
        self.stage = stage
        self.report = report
        self.failure = failure
        self.startedAt = startedAt
        self.finishedAt = finishedAt
    }
}

/// The sandbox that serves a deployment.
public struct ReplicaRecord: Codable, Sendable, Equatable {
    /// The id of its sandbox.
    public var sandbox: String
    /// The deployment's name.
    public var deployment: String
    /// The revision it runs.
    public var revision: Int
    /// How far it is isolated.
    public var isolation: Isolation
    /// How often it was started again after it ended or stopped answering.
    public var restarts: Int
    /// Whether its sandbox has ids of its own; nil in a record of an earlier version.
    public var ownsIdentities: Bool?

    /// Creates a record.
    public init(
        sandbox: String, deployment: String, revision: Int, isolation: Isolation, restarts: Int = 0,
        ownsIdentities: Bool? = nil
    ) {
        self.sandbox = sandbox
        self.deployment = deployment
        self.revision = revision
        self.isolation = isolation
        self.restarts = restarts
        self.ownsIdentities = ownsIdentities
    }
}

/// One line of the journal: an effect that was intended, and whether it is known to have happened.
public struct JournalRecord: Codable, Sendable, Equatable {
    /// Counted up by the store.
    public var id: Int64?
    /// The rollout it belongs to.
    public var rollout: String
    /// The stage that had the effect.
    public var stage: RolloutStage
    /// What the effect is found by again: a sandbox id, a digest.
    public var key: String
    /// What is known.
    public var state: State

    /// What is known of an effect.
    public enum State: String, Codable, Sendable {
        case intended
        case done
        case undone
    }

    /// Creates a record.
    public init(id: Int64? = nil, rollout: String, stage: RolloutStage, key: String, state: State = .intended) {
        self.id = id
        self.rollout = rollout
        self.stage = stage
        self.key = key
        self.state = state
    }
}

/// What happened to a deployment outside of rollouts, kept beyond its end.
public struct LifecycleRecord: Codable, Sendable, Equatable {
    /// Counted up by the store.
    public var id: Int64?
    /// The deployment's name.
    public var deployment: String
    /// What happened.
    public var kind: Kind
    /// More in a few words; may be empty.
    public var detail: String
    /// When, in milliseconds since 1970.
    public var time: Int64

    /// What can happen.
    public enum Kind: String, Codable, Sendable {
        case paused
        case resumed
        /// Its sandbox was removed for want of requests.
        case asleep
        case woken
        case wakeFailed = "wake_failed"
        /// Its end was moved.
        case extended
        /// Its time is over; `destroyed` follows once nothing of it is left.
        case expired
        case destroyed
    }

    /// Creates a record.
    public init(id: Int64? = nil, deployment: String, kind: Kind, detail: String = "", time: Int64) {
        self.id = id
        self.deployment = deployment
        self.kind = kind
        self.detail = detail
        self.time = time
    }
}

/// A fact that clients may read in order: the row is written in the transaction of the change it tells.
public struct EventRecord: Codable, Sendable, Equatable {
    /// Counted up by the store; the resume point of a stream.
    public var id: Int64?
    /// The rollout it belongs to.
    public var rollout: String
    /// The kind, as in `ControlAPI.RolloutEvent`.
    public var kind: String
    /// The event as JSON.
    public var data: String
    /// When it happened, in milliseconds since 1970.
    public var time: Int64

    /// Creates a record.
    public init(id: Int64? = nil, rollout: String, kind: String, data: String, time: Int64) {
        self.id = id
        self.rollout = rollout
        self.kind = kind
        self.data = data
        self.time = time
    }
}
