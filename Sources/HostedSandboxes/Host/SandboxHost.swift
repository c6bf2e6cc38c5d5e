import DeploymentCore
import DeploymentStore
import E2BProtocol
import Sandboxes
import Waiting

/// The sandboxes that clients own: makes, pauses, resumes, ends and describes them.
///
/// What is about to be done to a sandbox is written into the store before it is done, and what came of it after, so that
/// a control plane that is killed at any point leaves nothing half-done to the next one. Operations on one sandbox come
/// one after the other; those on different ones at once.
public actor SandboxHost {
    /// Where a host works, and with what.
    public struct Surroundings: Sendable {
        /// Where it writes things down.
        public var store: DeploymentStore
        /// What makes sandboxes.
        public var provider: any SandboxProvider
        /// What knows images.
        public var images: any ImageCatalog
        /// What keeps the files of sandboxes that are paused without their memory.
        public var files: any FileKeeping
        /// The folder where logs and measurements are kept; nil keeps them until the control plane ends.
        public var journal: String?
        /// Where the folders of volumes are; nil where none are offered.
        public var volumes: String?
        /// What makes secrets.
        public var tokens: SandboxTokens
        /// The clock of every wait.
        public var clock: any Clock<Duration>
        /// The wall clock, in milliseconds since 1970.
        public var now: @Sendable () -> Int64
        /// Is told what an operator has to know.
        public var announce: @Sendable (String) -> Void

        /// Creates surroundings.
        public init(
            store: DeploymentStore, provider: any SandboxProvider, images: any ImageCatalog, files: any FileKeeping,
            volumes: String? = nil, journal: String? = nil, tokens: SandboxTokens,
            clock: any Clock<Duration> = ContinuousClock(),
            now: @escaping @Sendable () -> Int64,
            announce: @escaping @Sendable (String) -> Void = { _ in }
        ) {
            self.store = store
            self.provider = provider
            self.images = images
            self.files = files
            self.journal = journal
            self.volumes = volumes
            self.tokens = tokens
            self.clock = clock
            self.now = now
            self.announce = announce
        }
    }

    /// What is known of one sandbox here.
    struct Entry {
        var record: HostedSandboxRecord
        /// nil while it is made, and until it was adopted.
        var sandbox: (any Sandbox)?
        /// Fulfilled when its run ends, by a pause or for good.
        var runEnd = Promise<Void>()
        /// Whether somebody works on it whom nobody may disturb: a snapshot is made.
        var isHeld = false
        let lane = Lane()
        let log: SandboxLog
        var history: MeasurementHistory

        init(record: HostedSandboxRecord, _ journal: SandboxJournal?) {
            self.record = record
            log = SandboxLog(file: journal?.log(record.id))
            history = MeasurementHistory(file: journal?.measurements(record.id))
        }
    }

    /// A creation with a key that has not ended yet.
    struct PendingCreation {
        let digest: String
        let task: Task<SandboxHandle, any Error>
    }

    let surroundings: Surroundings
    let settings: HostedSettings
    let journal: SandboxJournal?
    /// What ends when.
    nonisolated let wheel: ExpiryWheel
    /// The output of start commands.
    nonisolated let tasks = OwnedTasks()
    /// Is told of a sandbox whose run has ended, before anything of it is undone: open connections are reset then.
    private let runEnded: @Sendable (String) async -> Void
    var entries: [String: Entry] = [:]
    var creations: [String: PendingCreation] = [:]
    var rate: CreationRate
    /// What the hosts of sandboxes are below; nil leaves it to clients.
    var domain: String?
    private var isClosed = false

    /// Creates a host that knows no sandbox yet; `recover()` comes first.
    public init(
        _ surroundings: Surroundings, settings: HostedSettings = HostedSettings(),
        runEnded: @escaping @Sendable (String) async -> Void = { _ in }
    ) {
        self.surroundings = surroundings
        self.settings = settings
        do {
            journal = try surroundings.journal.map(SandboxJournal.init)
        } catch {
            journal = nil
            surroundings.announce("logs of sandboxes will be gone after a restart: \(error)")
        }
        self.runEnded = runEnded
        wheel = ExpiryWheel(clock: surroundings.clock, now: surroundings.now)
        rate = CreationRate(perSecond: settings.creationsPerSecond, now: surroundings.now())
    }

    var now: Int64 { surroundings.now() }
    var store: DeploymentStore { surroundings.store }

    /// Says from now on what the hosts of sandboxes are below, with its port.
    public func serve(domain: String?) { self.domain = domain }

    /// Ends or pauses what has expired, until the task is cancelled.
    public nonisolated func expireSandboxes() async {
        await wheel.run { [weak self] id in try await self?.expire(id) }
    }

    /// Begins nothing new, and waits for the operations that have begun. The sandboxes go on.
    public func close() async {
        isClosed = true
        for creation in creations.values { _ = try? await creation.task.value }
        for entry in entries.values { await entry.lane.alone {} }
        await tasks.close()
    }

    /// - Throws: 503 once the host is closed.
    func requireOpen() throws(ControlFailure) {
        guard !isClosed else { throw ControlFailure(503, "the server is being stopped", shouldRetry: false) }
    }

    // MARK: operations

    /// The sandbox of a client.
    ///
    /// - Throws: 404 when there is none.
    func visible(_ id: String) throws(ControlFailure) -> Entry {
        guard let entry = entries[id], entry.record.isVisible else { throw .noSandbox(id) }
        return entry
    }

    /// Runs `body` while nothing else is done to the sandbox, to its end even when the caller is cancelled.
    func alone<Result: Sendable>(
        _ id: String, _ body: @escaping @Sendable (isolated SandboxHost) async throws -> Result
    ) async throws -> Result {
        try requireOpen()
        let lane = try visible(id).lane
        return try await uncancelled { try await lane.alone { try await body(self) } }
    }

    /// Runs an effect within `settings.changeLimit`.
    func within<Result: Sendable>(
        _ what: String, limit: Duration? = nil, _ effect: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        let limit = limit ?? settings.changeLimit
        return try await withDeadline(
            limit, clock: surroundings.clock, BerthError(.timeout, "\(what) was not done within \(limit)"), effect)
    }

    /// Changes what is written of a sandbox, there and here, or nothing.
    ///
    /// - Parameter data: what the event tells; the notes of the sandbox are added.
    @discardableResult func write(
        _ id: String, event kind: SandboxEventRecord.Kind? = nil, data: SandboxEventData = SandboxEventData(),
        _ change: (inout HostedSandboxRecord) -> Void
    ) throws -> HostedSandboxRecord {
        guard var record = entries[id]?.record else { throw ControlFailure.noSandbox(id) }
        change(&record)
        try store.write(record, event: kind.map { event($0, record, data) })
        entries[id]?.record = record
        return record
    }

    /// The event that tells a change.
    func event(
        _ kind: SandboxEventRecord.Kind, _ record: HostedSandboxRecord, _ data: SandboxEventData = SandboxEventData()
    ) -> SandboxEventRecord {
        var data = data
        data.metadata = record.metadata
        return SandboxEventRecord(
            id: Identifiers.event(), sandbox: record.id, kind: kind, execution: record.execution,
            template: record.template, build: record.build,
            data: String(decoding: data.json.encoded(), as: UTF8.self), time: now)
    }

    /// What events tell of a run that has ended.
    func execution(_ record: HostedSandboxRecord) -> SandboxEventData {
        SandboxEventData(
            execution: SandboxEventData.Execution(
                startedAt: record.startedAt, processors: record.processors, memoryMiB: record.memoryMiB,
                duration: max(0, now - record.startedAt)))
    }

    /// Tells those with open connections that the run has ended.
    func endRun(_ id: String) async {
        let ended = entries[id]?.runEnd
        entries[id]?.runEnd = Promise()
        ended?.fulfil(())
        await runEnded(id)
    }

    /// What a sandbox's agent asks for; nil for one that asks for nothing.
    func secret(of record: HostedSandboxRecord) -> String? {
        record.isSecure ? surroundings.tokens.agentToken(record.id) : nil
    }

    func note(_ id: String, _ message: String, _ level: SandboxLog.Level = .info) {
        entries[id]?.log.append(message, level, at: now)
    }

    /// The sandbox itself, taken hold of again where an earlier attempt failed.
    func sandbox(_ id: String) async throws -> any Sandbox {
        if let sandbox = entries[id]?.sandbox { return sandbox }
        let provider = surroundings.provider
        let sandbox = try await within("finding sandbox \(id)") { try await provider.adopt(id) }
        entries[id]?.sandbox = sandbox
        return sandbox
    }
}
