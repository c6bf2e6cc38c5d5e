import Artifacts
import ControlAPI
import DeploymentCore
import DeploymentStore
import Gateway
import Sandboxes
import Waiting

/// One rollout from its first stage to its verdict. The only place that knows the order.
///
/// Every stage is journalled before and after its effect and has a deadline; a failure or a cancellation undoes what
/// was made and leaves the traffic where it was.
struct RolloutRunner: Sendable {
    /// The deadline of fetching the model files.
    static let artifactsDeadline = Duration.seconds(6 * 3_600)
    /// The deadline of installing the dependencies.
    static let environmentDeadline = Duration.seconds(1_800)

    let workshop: Workshop
    let tasks: OwnedTasks
    let reporter: RolloutReporter
    let kind: RolloutRecord.Kind

    /// What a promoted rollout leaves behind.
    struct Promotion: Sendable {
        var replica: Replica
        var drain: DrainHandle?
    }

    /// Runs the rollout; returns the promotion (nil for a test that passed) and throws why it failed.
    func run(_ rollout: RolloutRecord, _ revision: RevisionRecord) async throws -> Promotion? {
        var snapshot = try Snapshot(revision)
        let provider = try workshop.provider(of: snapshot.manifest)
        // Before packages are installed for a sandbox that nobody wants.
        let capabilities = try await reaching(provider) {
            try await provider.capabilities(demanding: snapshot.manifest.isolation)
        }
        try capabilities.network.require(snapshot.manifest.network)
        if snapshot.manifest.sudo ?? false { try capabilities.requireIdentities() }
        let environment = try await prepare(&snapshot, rollout)
        let launcher = try ReplicaLauncher(workshop: workshop, snapshot: snapshot, rollout: rollout.id)
        let output = launcher.makeOutput()
        let standby = await launcher.takeStandby(environment)
        let sandboxID = standby?.sandbox.id ?? Identifier.random(16)
        do {
            let replica = try await reaching(provider) {
                try await launch(launcher, rollout, sandboxID, environment, standby, output)
            }
            // What was imported last, in case that a prediction fails; `refillStandbys` asks for it otherwise.
            async let _: Void = launcher.follow(replica, followingRecipe(launcher, environment, standby))
            try await smoke(replica, rollout)
            guard kind != .test else {
                output.close("stopped: the test is over")
                try await destroy(sandboxID, of: provider)
                return nil
            }
            return try await expose(replica, rollout)
        } catch {
            output.close("stopped: the rollout failed")
            try await undo(sandboxID, of: rollout, provider, because: error)
            throw error
        }
    }

    /// Says of a failure to reach a provider elsewhere what it is: a failure to make or keep a sandbox there.
    private func reaching<Result>(
        _ provider: any SandboxProvider, _ body: () async throws -> Result
    ) async throws -> Result {
        do {
            return try await body()
        } catch let error as BerthError
            where !provider.showsHostFolders && [.unreachable, .timeout].contains(error.code)
        {
            throw BerthError(
                .sandbox, "the provider \(provider.name) cannot be reached: \(error.message)",
                suggestion: "`berth doctor --provider \(provider.name)` tries the way there; then deploy again",
                cause: error.cause)
        }
    }

    // MARK: artifacts, environment, render

    private func prepare(_ snapshot: inout Snapshot, _ rollout: RolloutRecord) async throws -> BuiltEnvironment {
        let assembly = BundleAssembly(workshop: workshop, snapshot: snapshot)
        let reporter = reporter
        let fetched = try await stage(.artifacts, of: rollout, key: snapshot.record.nonce) {
            try await withDeadline(
                Self.artifactsDeadline, clock: workshop.clock,
                BerthError(.artifact, "the model files did not arrive within \(Self.artifactsDeadline)")
            ) {
                try await assembly.fetchArtifacts { reporter.progress(.artifacts, $0) }
            }
        }
        let launcher = try ReplicaLauncher(workshop: workshop, snapshot: snapshot, rollout: rollout.id)
        let environment =
            launcher.provider.showsHostFolders
            ? try await stage(.environment, of: rollout, key: launcher.environmentKey) {
                let built = try await withDeadline(
                    Self.environmentDeadline, clock: workshop.clock,
                    BerthError(.dependencies, "the packages were not installed within \(Self.environmentDeadline)")
                ) {
                    try await launcher.environment { reporter.progress(.environment, $0) }
                }
                return (built, built.outcome)
            } : try await launcher.environment()
        let bundle = try await stage(.render, of: rollout, key: snapshot.record.nonce) {
            try await assembly.render(with: fetched)
        }
        snapshot.bundle = bundle.files
        snapshot.record.bundle = try JSONText.encode(bundle.files)
        snapshot.record.bundleDigest = bundle.digest
        snapshot.record.environmentDigest = environment.digest
        try workshop.store.completeRevision(snapshot.record)
        return environment
    }

    // MARK: sandbox, upload, start, health

    private func launch(
        _ launcher: ReplicaLauncher, _ rollout: RolloutRecord, _ sandboxID: String,
        _ environment: BuiltEnvironment, _ standby: Standby?, _ output: OutputCapture
    ) async throws -> Replica {
        let reporter = reporter
        let place = try await stage(.sandbox, of: rollout, key: sandboxID) {
            let place = try await launcher.place(sandboxID, environment: environment, standby: standby) {
                try reporter.notice("cold start, as the standby cannot be used: \($0)")
            }
            let isNothing = launcher.snapshot.manifest.network?.isNothing ?? true
            let detail =
                (place.sandbox.origin ?? place.sandbox.isolation.rawValue)
                + (place.sandbox.ownsIdentities && place.sandbox.origin == nil ? " with ids of its own" : "")
                + ", \(sandboxID)" + (isNothing ? "" : ", network \(place.sandbox.network)")
            return (
                place,
                StageOutcome(
                    detail: place.standby == nil ? detail : "standby, \(detail)", isReused: place.standby != nil)
            )
        }
        let sandbox = place.sandbox
        if let notice = Self.notice(of: sandbox) { try reporter.notice(notice) }
        if environment.isInside {
            // Where no folder can be shown the packages are installed in the sandbox, so it has to be there first.
            _ = try await stage(.environment, of: rollout, key: launcher.environmentKey) {
                try await launcher.complete(sandbox) { reporter.progress(.environment, $0) }
                return ((), environment.outcome)
            }
        }
        _ = try await stage(.upload, of: rollout, key: sandboxID) {
            let (count, bytes) = try await launcher.upload(to: sandbox) { reporter.progress(.upload, $0) }
            return ((), StageOutcome(detail: "\(count) file\(count == 1 ? "" : "s"), \(ByteCount.text(bytes))"))
        }
        let replica = try await stage(.start, of: rollout, key: sandboxID) {
            let replica = try await launcher.start(in: place, output: output, tasks: tasks)
            return (replica, StageOutcome(detail: "port \(sandbox.port)"))
        }
        do {
            _ = try await stage(.health, of: rollout, key: sandboxID) {
                let following = followingRecipe(launcher, environment, standby)
                try await launcher.waitUntilReady(replica, followedBy: following) {
                    reporter.progress(.health, "\($0)")
                }
                return ((), StageOutcome(detail: launcher.snapshot.manifest.health.path ?? "port open"))
            }
        } catch {
            throw FailureWithOutput(error: error, output: output.recent)
        }
        return replica
    }

    /// The recipe of the standby that learns from this start: a test needs none, and one that was a standby has imported
    /// all before.
    private func followingRecipe(
        _ launcher: ReplicaLauncher, _ environment: BuiltEnvironment, _ standby: Standby?
    ) -> StandbyRecipe? {
        kind == .test || standby != nil ? nil : launcher.followingRecipe(environment)
    }

    /// What the user has to know of a weak isolation.
    private static func notice(of sandbox: any Sandbox) -> String? {
        let isOpen = sandbox.network == NetworkEnforcement.open.rawValue
        let way =
            (isOpen ? "it reaches whatever this machine reaches; " : "")
            + "`berth doctor` says what this machine can do"
        switch sandbox.isolation {
        case .namespaces, .gvisor: return nil
        case .landlock:
            return "no namespaces: the app runs as a process behind Landlock on port \(sandbox.port); \(way)"
        case .process: return "no isolation: the app runs as a plain process on port \(sandbox.port); \(way)"
        }
    }

    // MARK: smoke, expose

    private func smoke(_ replica: Replica, _ rollout: RolloutRecord) async throws {
        let tests = replica.snapshot.manifest.smoke
        let candidate = CandidateRoute(workshop: workshop, replica: replica)
        do {
            _ = try await stage(.smoke, of: rollout, key: replica.sandbox.id) {
                let failed = try await candidate.run(tests) { try reporter.smoke($0) }
                if let first = failed.first {
                    let why = first.failures.first ?? "no reason given"
                    throw BerthError(
                        .smokeFailed,
                        "\(failed.count) of \(tests.count) smoke predictions failed: \(first.name): \(why)",
                        suggestion: "compare the answers with `smoke` in the manifest")
                }
                return ((), StageOutcome(detail: tests.isEmpty ? "none declared" : "\(tests.count) passed"))
            }
        } catch {
            throw FailureWithOutput(error: error, output: replica.output.recent)
        }
    }

    private func expose(_ replica: Replica, _ rollout: RolloutRecord) async throws -> Promotion {
        let line = try begin(.expose, of: rollout, key: replica.sandbox.id)
        let start = ContinuousClock.now
        CrashPoint.before(.expose).pass()
        let drain = try workshop.traffic.withLock { _ in
            try Task.checkCancellation()
            var promoted = rollout
            promoted.status = .promoted
            promoted.stage = .expose
            promoted.finishedAt = workshop.now()
            promoted.report = try JSONText.encode(reporter.report)
            let event = try reporter.event(.progress(.expose, "promoted"))
            // The revision decides: without a `ttl` an earlier one's end is taken back.
            let expiresAt = replica.snapshot.manifest.ttl.map { workshop.now() + Int64($0.milliseconds) }
            try workshop.store.promote(promoted, replica: replica.record(), expiresAt: expiresAt, event: event)
            workshop.expiries.set(rollout.deployment, at: expiresAt)
            CrashPoint.committed.pass()
            return workshop.gateway.publish(replica.snapshot.name, replica.upstream)
        }
        CrashPoint.published.pass()
        // Committed: from here on nothing may fail the rollout, whatever the disk says.
        let outcome = StageOutcome(detail: "\(workshop.gatewayURL)/\(replica.snapshot.name)/predict")
        try? reporter.leave(.expose, after: ContinuousClock.now - start, outcome)
        CrashPoint.after(.expose).pass()
        try? workshop.store.settle(line, as: .done)
        return Promotion(replica: replica, drain: drain)
    }

    // MARK: the journal around each stage

    private func stage<Result: Sendable>(
        _ stage: RolloutStage, of rollout: RolloutRecord, key: String,
        _ body: () async throws -> (Result, StageOutcome)
    ) async throws -> Result {
        let line = try begin(stage, of: rollout, key: key)
        let start = ContinuousClock.now
        CrashPoint.before(stage).pass()
        let (result, outcome) = try await body()
        CrashPoint.after(stage).pass()
        try workshop.store.settle(line, as: .done)
        try reporter.leave(stage, after: ContinuousClock.now - start, outcome)
        return result
    }

    private func begin(_ stage: RolloutStage, of rollout: RolloutRecord, key: String) throws -> Int64 {
        try Task.checkCancellation()
        try reporter.enter(stage)
        if kind != .test { workshop.gateway.announce(rollout.deployment, stage: stage.rawValue) }
        return try workshop.store.intend(stage, of: rollout.id, key: key)
    }

    private func undo(
        _ sandboxID: String, of rollout: RolloutRecord, _ provider: any SandboxProvider, because error: any Error
    ) async throws {
        do {
            try await destroy(sandboxID, of: provider)
            for line in try workshop.store.journal(of: rollout.id) where line.key == sandboxID {
                if let id = line.id { try workshop.store.settle(id, as: .undone) }
            }
        } catch let undoing {
            throw UndoFailure(
                error: BerthError(
                    .sandbox, "undoing the rollout failed, sandbox \(sandboxID) may be left over",
                    suggestion: provider.showsHostFolders
                        ? "`berth down` and `berth serve` sweep it up"
                        : "it is removed as soon as \(provider.name) answers again",
                    cause: BerthError(.sandbox, "\(error)", cause: undoing)))
        }
    }

    private func destroy(_ sandboxID: String, of provider: any SandboxProvider) async throws {
        try await uncancelled { try await provider.destroy(sandboxID) }
    }
}

/// A rollout that could not be undone, together with why it had to be.
struct UndoFailure: Error, Sendable {
    let error: BerthError
}

/// A failure together with what the app printed last.
struct FailureWithOutput: Error, Sendable {
    let error: any Error
    let output: String
}
