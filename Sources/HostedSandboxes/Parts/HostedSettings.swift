import DeploymentCore

/// What a host of sandboxes allows, and how long it waits.
public struct HostedSettings: Sendable, Equatable {
    /// The most sandboxes at once unless told; paused ones do not count.
    public static let defaultMaximumSandboxes = 100
    /// Creations in a second unless told.
    public static let defaultCreationsPerSecond = 50
    /// The longest life of a run, in seconds.
    public static let maximumTimeout: Int64 = 86_400
    /// The shortest life after a resumption by traffic, in seconds.
    public static let shortestResumption: Int64 = 300
    /// The least that a refresh adds, in seconds.
    public static let shortestRefresh: Int64 = 15
    /// The most that a refresh adds, in seconds.
    public static let longestRefresh: Int64 = 3_600
    /// What clients are told of the disk, in MiB; nothing holds it.
    public static let diskMiB = 10_240
    /// How long a creation may be repeated with its key, in milliseconds.
    public static let creationLifetime: Int64 = 86_400_000
    /// The most variables or notes of a sandbox, and the most bytes of each kind.
    public static let maximumEntries = 1_024
    /// The most bytes of variables or notes.
    public static let maximumEntryBytes = 256 << 10

    /// The most sandboxes at once; paused ones do not count.
    public var maximumSandboxes: Int
    /// Creations in a second, in the long run and at once.
    public var creationsPerSecond: Int
    /// How long the engine may take to make a sandbox.
    public var makingLimit = Duration.seconds(60)
    /// How long an image's archive and commands may take.
    public var setupLimit = Duration.seconds(300)
    /// How long the files of a sandbox may take to be stored, and how long a sandbox may take that starts from them: what
    /// could be stored can be brought back.
    public var filesLimit = Duration.seconds(1_800)
    /// How long the engine may take to pause, resume, open or destroy a sandbox.
    public var changeLimit = Duration.seconds(30)
    /// The pause between two questions whether the start command is ready.
    public var readyPause = Duration.milliseconds(250)
    /// The time between two measurements.
    public var measuringPause = Duration.seconds(5)

    /// Creates settings.
    public init(
        maximumSandboxes: Int = defaultMaximumSandboxes, creationsPerSecond: Int = defaultCreationsPerSecond
    ) {
        self.maximumSandboxes = maximumSandboxes
        self.creationsPerSecond = creationsPerSecond
    }
}
