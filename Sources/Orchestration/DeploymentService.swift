import ControlAPI
import DeploymentCore
import DeploymentStore
import Gateway
import ManifestParsing
import Sandboxes
import Waiting

/// What can be asked of Berth: deploy, test, roll back, destroy, look.
///
/// It owns every rollout and every supervised replica; `close()` ends all of them and leaves the sandboxes serving.
public actor DeploymentService {
    /// Ended tests that stay readable.
    static let rememberedTests = 20
    /// Revisions of each deployment that stay for a rollback, beside the one that serves.
    static let rememberedRevisions = 20
    /// How long requests in flight may take when their deployment is destroyed.
    static let destroyGrace = Duration.seconds(5)

    nonisolated let workshop: Workshop
    /// Reads output and supervises replicas.
    nonisolated let tasks = OwnedTasks()
    private(set) var rollouts: [String: Task<Void, Never>] = [:]
    private(set) var supervisors: [String: Supervisor] = [:]
    /// Deployments that are being destroyed; nothing new begins on them.
    private(set) var ending: Set<String> = []
    /// Endings that the store could not take, to be written once it can.
    private(set) var unrecorded: [String: RolloutRecord] = [:]

    /// Creates the service; `recover()` has to run before anything else is asked.
    public init(workshop: Workshop) {
        self.workshop = workshop
    }

    // MARK: asking for rollouts

    /// Begins a deployment or a test; the answer is there before the first stage.
    ///
    /// - Throws: `invalid_manifest` with every diagnostic, `conflict` when the name is being rolled out.
    public func submit(_ request: DeployRequest) throws -> RolloutResource {
        var environment: [String: String] = [:]
        environment["BERTH_MODEL_PORT"] = request.modelPort
        var manifest: Manifest
        do {
            manifest = try ManifestParser.parse(
                Array(request.manifest.utf8), file: request.file, environment: environment,
                overrides: request.overrides
            ).manifest
        } catch {
            throw BerthError(.invalidManifest, error.rendered(color: false))
        }
        manifest.env.merge(request.environment) { _, flag in flag }
        try BundleFiles.check(request.files)
        let isTest = request.kind == .test
        if !isTest { try prepareToBegin(on: manifest.name) }
        let id = Identifier.random(16)
        let record = RolloutRecord(
            id: "rol_\(id)", deployment: isTest ? "test-\(id)" : manifest.name, revision: 0,
            kind: isTest ? .test : .deploy, startedAt: workshop.now())
        let text = try JSONText.encode(manifest)
        let bundle = try JSONText.encode(request.files)
        let now = workshop.now()
        let name = manifest.name
        let (rollout, revision) = try workshop.store.beginRollout(record) { number in
            RevisionRecord(
                deployment: record.deployment, number: number, nonce: "\(name).\(number).\(Identifier.random(8))",
                manifest: text, bundle: bundle, lock: request.lock, createdAt: now)
        }
        begin(rollout, revision)
        return try resource(of: rollout)
    }

    /// Begins a rollout back to `number`, or to the newest earlier revision that had the traffic.
    ///
    /// - Throws: `not_found` when there is no such revision or nothing to go back to.
    public func rollBack(_ name: String, to number: Int?) throws -> RolloutResource {
        let deployment = try listed(name)
        try prepareToBegin(on: name)
        let candidates = try workshop.store.revisions(of: name).filter { $0.status == .superseded }
        let target: RevisionRecord
        if let number {
            guard number != deployment.activeRevision else {
                throw BerthError(.conflict, "revision \(number) of \(name) has the traffic already")
            }
            guard let revision = try workshop.store.revision(number, of: name) else {
                throw BerthError(
                    .notFound, "deployment \(name) has no revision \(number)",
                    suggestion: "`berth history \(name)` lists them")
            }
            target = revision
        } else {
            guard
                let revision = candidates.first(where: { $0.number < deployment.activeRevision ?? .max })
                    ?? candidates.first
            else {
                throw BerthError(
                    .notFound, "deployment \(name) has no earlier revision that had the traffic",
                    suggestion: "`berth history \(name)` lists the revisions; name one with --to")
            }
            target = revision
        }
        let rollout = RolloutRecord(
            id: "rol_\(Identifier.random(16))", deployment: name, revision: target.number, kind: .rollback,
            startedAt: workshop.now())
        try workshop.store.beginRollout(rollout)
        begin(rollout, target)
        return try resource(of: rollout)
    }

    /// Cancels a rollout and waits until everything of it is undone; one that has ended is no error.
    public func cancel(_ id: String) async throws -> RolloutResource {
        guard try workshop.store.rollout(id) != nil else { throw Self.unknownRollout(id) }
        recordEndings()
        if let task = rollouts[id] {
            task.cancel()
            await task.value
        }
        return try rollout(id)
    }

    func prepareToBegin(on name: String) throws {
        recordEndings()
        guard !ending.contains(name) else {
            throw BerthError(.conflict, "deployment \(name) is being destroyed", suggestion: "try again in a moment")
        }
    }

    private func recordEndings() {
        for (id, record) in unrecorded {
            let reporter = RolloutReporter(rollout: id, workshop: workshop)
            let event = RolloutEvent.progress(record.stage, record.status.rawValue)
            if (try? workshop.store.finish(record, event: reporter.event(event))) != nil { unrecorded[id] = nil }
        }
    }

    private func begin(_ rollout: RolloutRecord, _ revision: RevisionRecord) {
        let reporter = RolloutReporter(rollout: rollout.id, workshop: workshop)
        let runner = RolloutRunner(workshop: workshop, tasks: tasks, reporter: reporter, kind: rollout.kind)
        rollouts[rollout.id] = Task {
            do {
                let promotion = try await runner.run(rollout, revision)
                await self.succeed(rollout, reporter, promotion)
            } catch {
                self.fail(rollout, reporter, error)
            }
            self.rollouts[rollout.id] = nil
            if rollout.kind == .test { self.forgetTests() }
            self.workshop.changed.notify()
        }
    }

    private func succeed(
        _ rollout: RolloutRecord, _ reporter: RolloutReporter, _ promotion: RolloutRunner.Promotion?
    ) async {
        guard let promotion else {
            finish(rollout, reporter, .promoted, nil)
            return
        }
        let name = rollout.deployment
        let old = supervisors[name]
        supervisors[name] = supervise(promotion.replica)
        if let old { retire(old, promotion.drain, within: promotion.replica.snapshot.manifest.rollout.drain) }
    }

    /// Lets the old replica finish what it has in flight, then removes its sandbox.
    private func retire(_ old: Supervisor, _ drain: DrainHandle?, within limit: Duration) {
        let provider = try? workshop.provider(of: old.snapshot.manifest)
        tasks.start {
            await old.stop("stopped: another revision has the traffic")
            _ = await drain?.wait(upTo: limit)
            guard let id = old.currentSandbox else { return }
            // What is left is found again by its labels at the next start.
            try? await provider?.destroy(id)
        }
    }

    private func fail(_ rollout: RolloutRecord, _ reporter: RolloutReporter, _ error: any Error) {
        let failure = error as? FailureWithOutput
        let cause = failure?.error ?? error
        if let undoing = cause as? UndoFailure {
            finish(rollout, reporter, Task.isCancelled ? .cancelled : .failed, Problem(undoing.error))
        } else if Task.isCancelled || cause is CancellationError {
            let problem = Problem(code: .interrupted, title: "the rollout was cancelled, everything of it is undone")
            finish(rollout, reporter, .cancelled, problem)
        } else {
            finish(rollout, reporter, .failed, Problem(cause, output: failure?.output))
        }
        if (try? workshop.store.deployment(rollout.deployment)?.activeRevision) == nil {
            workshop.gateway.announce(rollout.deployment, stage: nil)
        }
    }

    private func finish(
        _ rollout: RolloutRecord, _ reporter: RolloutReporter, _ status: RolloutRecord.Status, _ problem: Problem?
    ) {
        var ended = rollout
        let report = reporter.report
        ended.status = status
        ended.stage = report.stages.last?.stage ?? .artifacts
        ended.finishedAt = workshop.now()
        ended.report = (try? JSONText.encode(report)) ?? ""
        ended.failure = problem.flatMap { try? JSONText.encode($0) } ?? ""
        do {
            try workshop.store.finish(ended, event: reporter.event(.progress(ended.stage, status.rawValue)))
        } catch {
            unrecorded[rollout.id] = ended
        }
    }

    func forgetTests() {
        let forgotten = (try? workshop.store.forgetTests(keeping: Self.rememberedTests)) ?? []
        for name in forgotten { workshop.logs.remove(name) }
    }

    // MARK: replicas

    func supervise(_ replica: Replica, restarts: Int = 0) -> Supervisor {
        let supervisor = Supervisor(workshop: workshop, tasks: tasks, replica: replica, restarts: restarts)
        supervisor.begin()
        return supervisor
    }

    func adopt(_ supervisor: Supervisor, as name: String) { supervisors[name] = supervisor }

    /// Ends a deployment: its rollout, its traffic, its sandbox, its records and its logs.
    ///
    /// What cannot be removed now, since its provider is out of reach, is removed later without being asked for again.
    ///
    /// - Throws: `not_found` when there is none of that name.
    public func destroy(_ name: String) async throws {
        do {
            try await end(name, because: nil)
        } catch let error as BerthError where [.unreachable, .timeout].contains(error.code) {
            workshop.expiries.set(name, at: workshop.now())
            throw BerthError(
                error.code, "\(name) serves no more, but not all of it is removed: \(error.message)",
                suggestion: "the rest is removed as soon as the service answers again", cause: error.cause)
        }
    }

    /// - Parameter event: why it is destroyed, when nobody asked for it.
    func end(_ name: String, because event: LifecycleRecord?) async throws {
        _ = try listed(name)
        try prepareToBegin(on: name)
        ending.insert(name)
        defer { ending.remove(name) }
        // From here on a crash does not bring it back: the next control plane goes on with the end.
        try workshop.store.beginEnding(of: name, event: event)
        CrashPoint.ending.pass()
        for rollout in try workshop.store.runningRollouts(of: name) { _ = try await cancel(rollout.id) }
        // First the one that could publish, then what it published.
        await supervisors[name]?.stop("stopped: the deployment \(event == nil ? "is destroyed" : "has expired")")
        supervisors[name] = nil
        await workshop.standbys.discard(name)
        let drain = workshop.traffic.withLock { _ in workshop.gateway.withdraw(name) }
        _ = await drain?.wait(upTo: Self.destroyGrace)
        for provider in try usedProviders(of: name) {
            for record in try await provider.list() where record.labels.deployment == name {
                try await provider.destroy(record.id)
            }
        }
        try forget(name)
    }

    /// Forgets a deployment of which nothing runs any more.
    func forget(_ name: String) throws {
        let event = LifecycleRecord(deployment: name, kind: .destroyed, time: workshop.now())
        try workshop.store.removeDeployment(name, event: event)
        workshop.expiries.set(name, at: nil)
        workshop.gateway.announce(name, stage: nil)
        workshop.logs.remove(name)
    }

    /// Stops all work here: rollouts are cancelled and undone, the sandboxes go on serving.
    public func close() async {
        for task in rollouts.values { task.cancel() }
        for task in rollouts.values { await task.value }
        for supervisor in supervisors.values { await supervisor.stop() }
        supervisors = [:]
        await tasks.close()
        await workshop.standbys.close()
    }
}
