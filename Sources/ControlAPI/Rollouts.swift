import DeploymentCore

/// What a client sends to deploy or test: the manifest's text, the lock, and which blobs make up its files.
public struct DeployRequest: Codable, Sendable, Equatable {
    /// The manifest as the user wrote it; the control plane parses it again.
    public var manifest: String
    /// The manifest's file name, for messages.
    public var file: String
    /// `--set path=value`, in order.
    public var overrides: [String]
    /// `--env K=V`, laid over the manifest's `env`.
    public var environment: [String: String]
    /// `BERTH_MODEL_PORT` or `E2B_MODEL_PORT` of the client.
    public var modelPort: String?
    /// The hashed lock of all requirements, the template's included.
    public var lock: String
    /// The files beside the manifest; their bytes are blobs already.
    public var files: [BundleFile]
    /// Whether to deploy or to test beside what runs.
    public var kind: Kind

    /// What is wanted.
    public enum Kind: String, Codable, Sendable {
        case deploy
        case test
    }

    /// Creates a request.
    public init(
        manifest: String, file: String, overrides: [String] = [], environment: [String: String] = [:],
        modelPort: String? = nil, lock: String, files: [BundleFile], kind: Kind = .deploy
    ) {
        self.manifest = manifest
        self.file = file
        self.overrides = overrides
        self.environment = environment
        self.modelPort = modelPort
        self.lock = lock
        self.files = files
        self.kind = kind
    }
}

/// A rollout as clients see it.
public struct RolloutResource: Codable, Sendable, Equatable {
    /// `rol_…`.
    public var id: String
    /// The deployment's name as the manifest has it.
    public var deployment: String
    /// The revision it moves to.
    public var revision: Int
    /// `deploy`, `rollback` or `test`.
    public var kind: String
    /// `running`, `promoted`, `failed`, `cancelled` or `interrupted`.
    public var status: String
    /// The stage it is in, or ended in.
    public var stage: RolloutStage
    /// What each stage did.
    public var stages: [StageReport]
    /// The smoke predictions, once they ran.
    public var smoke: [SmokeReport]
    /// Why it failed.
    public var failure: Problem?
    /// Where predictions go once promoted.
    public var url: String?
    /// When it began, in milliseconds since 1970.
    public var startedAt: Int64
    /// When it ended.
    public var finishedAt: Int64?

    /// Creates a resource.
    public init(
        id: String, deployment: String, revision: Int, kind: String, status: String, stage: RolloutStage,
        stages: [StageReport] = [], smoke: [SmokeReport] = [], failure: Problem? = nil, url: String? = nil,
        startedAt: Int64, finishedAt: Int64? = nil
    ) {
        self.id = id
        self.deployment = deployment
        self.revision = revision
        self.kind = kind
        self.status = status
        self.stage = stage
        self.stages = stages
        self.smoke = smoke
        self.failure = failure
        self.url = url
        self.startedAt = startedAt
        self.finishedAt = finishedAt
    }
}

extension RolloutResource {
    /// Why it is not promoted; nil when it is, or still runs.
    public var problem: Problem? {
        switch status {
        case "promoted", "running": nil
        default: failure ?? Problem(code: .internalError, title: "the rollout ended as \(status)")
        }
    }
}

/// What one stage did.
public struct StageReport: Codable, Sendable, Equatable {
    /// The stage.
    public var stage: RolloutStage
    /// How long it took, in milliseconds; nil while it runs or when it failed to end.
    public var milliseconds: Double?
    /// What it found, in a few words: `reused 3f2a91c0, 21 packages`.
    public var detail: String
    /// Whether everything it needed was there already.
    public var reused: Bool

    /// Creates a report.
    public init(stage: RolloutStage, milliseconds: Double? = nil, detail: String = "", reused: Bool = false) {
        self.stage = stage
        self.milliseconds = milliseconds
        self.detail = detail
        self.reused = reused
    }
}

/// How one smoke prediction went.
public struct SmokeReport: Codable, Sendable, Equatable {
    /// The name in the manifest.
    public var name: String
    /// Whether all of it held.
    public var passed: Bool
    /// How long the answer took, in milliseconds.
    public var milliseconds: Double
    /// The HTTP status; nil when no answer came.
    public var status: Int?
    /// What did not hold.
    public var failures: [String]
    /// The beginning of the answer, for a failed one.
    public var response: String?

    /// Creates a report.
    public init(
        name: String, passed: Bool, milliseconds: Double, status: Int?, failures: [String], response: String?
    ) {
        self.name = name
        self.passed = passed
        self.milliseconds = milliseconds
        self.status = status
        self.failures = failures.map(VisibleText.of)
        self.response = response.map(VisibleText.of)
    }
}

/// One event of a rollout's stream.
public enum RolloutEvent: Codable, Sendable, Equatable {
    case stageStarted(RolloutStage)
    /// Something to show while a stage runs: `12 of 21 packages`.
    case progress(RolloutStage, String)
    case stageFinished(StageReport)
    /// Something the user should know, such as a weaker isolation.
    case notice(String)
    case smoke(SmokeReport)
    /// The last event of a stream.
    case finished(RolloutResource)

    /// The kind, as written beside the event.
    public var kind: String {
        switch self {
        case .stageStarted: "stage_started"
        case .progress: "progress"
        case .stageFinished: "stage_finished"
        case .notice: "notice"
        case .smoke: "smoke"
        case .finished: "finished"
        }
    }
}
