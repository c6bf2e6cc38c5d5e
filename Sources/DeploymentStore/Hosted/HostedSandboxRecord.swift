import DeploymentCore

/// A sandbox that a client owns. The row is written before each effect on it and after.
public struct HostedSandboxRecord: Codable, Sendable, Equatable {
    /// The id; also the engine's.
    public var id: String
    /// The template it was made from.
    public var template: String
    /// The template's build.
    public var build: String
    /// The template's name; nil for what has none.
    public var alias: String?
    /// How it is, or is about to be.
    public var state: State
    /// The run: another one after each resumption.
    public var execution: String
    /// When it was made, in milliseconds since 1970.
    public var createdAt: Int64
    /// When its run began, in milliseconds since 1970.
    public var startedAt: Int64
    /// When it ends or is paused; of a paused one when that was. In milliseconds since 1970.
    public var endAt: Int64
    /// The seconds that were asked for last.
    public var timeout: Int64
    /// Processors.
    public var processors: Int
    /// Memory in MiB.
    public var memoryMiB: Int
    /// Whether its agent asks for a token.
    public var isSecure: Bool
    /// Whether it is paused instead of killed when its time is over.
    public var pausesOnTimeout: Bool
    /// Whether traffic resumes it.
    public var resumesOnTraffic: Bool
    /// Whether it may reach the internet, as its creator said; nil where nothing was said.
    public var allowsInternet: Bool?
    /// Its network settings as JSON; nil where none were given.
    public var network: String?
    /// The client's own notes.
    public var metadata: [String: String]
    /// Variables of every process. Secrets may be among them.
    public var environment: [String: String]
    /// Its volumes as JSON; nil where there are none.
    public var volumes: String?
    /// The folders and files of the host that it shows.
    public var mounts: [String]
    /// Whether the pause at the end of its time keeps its processes.
    public var pausesWithMemory: Bool
    /// What the pause keeps that it is in or about to be in; nil for one that runs.
    public var pauseMode: PauseMode?
    /// The digest of the archive that its files are in while nothing else is left of it; nil while the engine has them.
    public var archive: String?
    /// What it is made from again then, as JSON.
    public var content: String?

    /// How a sandbox is, or is about to be.
    public enum State: String, Codable, Sendable, CaseIterable {
        /// It is being made; nobody knows it yet, and a crash undoes it.
        case creating
        case running
        /// It is about to be paused.
        case pausing
        case paused
        /// It is about to run again.
        case resuming
        /// Its end has begun: it is gone for everybody, and a crash does not bring it back.
        case ending
    }

    /// What a pause keeps.
    public enum PauseMode: String, Codable, Sendable, CaseIterable {
        /// Files and processes: the engine lets the sandbox stand still.
        case full
        /// Files alone: its processes end, and it starts anew.
        case filesystem
    }

    /// Creates a record.
    public init(
        id: String, template: String, build: String, alias: String?, state: State, execution: String, createdAt: Int64,
        startedAt: Int64, endAt: Int64, timeout: Int64, processors: Int, memoryMiB: Int, isSecure: Bool,
        pausesOnTimeout: Bool, resumesOnTraffic: Bool, allowsInternet: Bool?, network: String?,
        metadata: [String: String], environment: [String: String], volumes: String?,
        mounts: [String] = [], pausesWithMemory: Bool = true, pauseMode: PauseMode? = nil, archive: String? = nil,
        content: String? = nil
    ) {
        self.id = id
        self.template = template
        self.build = build
        self.alias = alias
        self.state = state
        self.execution = execution
        self.createdAt = createdAt
        self.startedAt = startedAt
        self.endAt = endAt
        self.timeout = timeout
        self.processors = processors
        self.memoryMiB = memoryMiB
        self.isSecure = isSecure
        self.pausesOnTimeout = pausesOnTimeout
        self.resumesOnTraffic = resumesOnTraffic
        self.allowsInternet = allowsInternet
        self.network = network
        self.metadata = metadata
        self.environment = environment
        self.volumes = volumes
        self.mounts = mounts
        self.pausesWithMemory = pausesWithMemory
        self.pauseMode = pauseMode
        self.archive = archive
        self.content = content
    }
}

/// A creation that a client may repeat without making a second sandbox.
public struct HostedCreationRecord: Codable, Sendable, Equatable {
    /// The client's key.
    public var key: String
    /// The digest of what was asked.
    public var digest: String
    /// The sandbox that was made.
    public var sandbox: String
    /// When, in milliseconds since 1970.
    public var time: Int64

    /// Creates a record.
    public init(key: String, digest: String, sandbox: String, time: Int64) {
        self.key = key
        self.digest = digest
        self.sandbox = sandbox
        self.time = time
    }
}
