import AppTemplates
import Artifacts
import ControlAPI
import DeploymentCore
import DeploymentStore
import Foundation
import HealthProbing
import Sandboxes
import Waiting

/// The four stages from a complete revision to a healthy replica: sandbox, upload, start, health.
///
/// A rollout runs them with its journal; a restart runs them alone.
struct ReplicaLauncher: Sendable {
    /// The deadline of creating a sandbox.
    static let sandboxDeadline = Duration.seconds(30)
    /// The deadline of creating one elsewhere, waits for a busy service included.
    static let remoteSandboxDeadline = Duration.seconds(180)
    /// The deadline of turning a standby to a revision; past it a new sandbox is made.
    static let standbyDeadline = Duration.seconds(5)
    /// The deadline of writing the bundle into it.
    static let uploadDeadline = Duration.seconds(600)
    /// The deadline of writing the bundle and the model files into one elsewhere.
    static let remoteUploadDeadline = Duration.seconds(6 * 3_600)
    /// The deadline of starting the process in it, which waits for nothing.
    static let startDeadline = Duration.seconds(30)

    let workshop: Workshop
    let provider: any SandboxProvider
    let snapshot: Snapshot
    let rollout: String
    /// Whether the start before did not hold, or ran into a limit: an app that fails again and again is to disturb nobody.
    let isTriedAgain: Bool

    /// - Throws: `sandbox` when the provider of the manifest is not set up here.
    init(workshop: Workshop, snapshot: Snapshot, rollout: String, isTriedAgain: Bool = false) throws {
        self.workshop = workshop
        self.provider = try workshop.provider(of: snapshot.manifest)
        self.snapshot = snapshot
        self.rollout = rollout
        self.isTriedAgain = isTriedAgain
    }

    /// What will read the app's output.
    func makeOutput() -> OutputCapture {
        workshop.logs.open(snapshot.record.deployment)
        return OutputCapture(
            log: workshop.logs, deployment: snapshot.record.deployment, revision: snapshot.record.number)
    }

    /// What a standby for this revision has to be.
    func recipe(_ environment: BuiltEnvironment) -> StandbyRecipe {
        StandbyRecipe(
            specification: SandboxSpecification(
                id: "",
                labels: SandboxLabels(deployment: snapshot.record.deployment, nonce: "", rollout: "standby"),
                mounts: environment.mounts, port: snapshot.manifest.server.port,
                limits: snapshot.manifest.resources ?? SandboxLimits(),
                minimumIsolation: snapshot.manifest.isolation, network: snapshot.manifest.network,
                allowsSudo: snapshot.manifest.sudo ?? false, needsSudo: snapshot.manifest.sudo ?? false,
                template: snapshot.manifest.provider?.template),
            manifest: snapshot.manifest, environment: environment)
    }

    /// Where the app is going to run.
    struct Place: Sendable {
        let sandbox: any Sandbox
        let recipe: StandbyRecipe
        /// The process that waits to become the app, and where it finds the model files; nil in a new sandbox.
        let standby: (process: any SandboxProcess, links: [String: String])?
    }

    /// Turns the standby to this revision, or makes the sandbox `id`, with the environment and the model files in it.
    ///
    /// - Parameter fallback: told why a standby could not be used; the sandbox of the same id is a new one then.
    func place(
        _ id: String, environment: BuiltEnvironment, standby: Standby?, fallback: (any Error) throws -> Void
    ) async throws -> Place {
        let recipe = recipe(environment)
        let labels = SandboxLabels(
            deployment: snapshot.record.deployment, nonce: snapshot.record.nonce, rollout: rollout)
        let models = try await modelMounts()
        let provider = provider
        if let standby {
            do {
                return try await withDeadline(
                    Self.standbyDeadline, clock: workshop.clock,
                    BerthError(.sandbox, "the standby did not answer within \(Self.standbyDeadline)")
                ) {
                    let links = try await provider.assign(standby.sandbox.id, labels: labels, models: models)
                    let process = try await standby.sandbox.process(tagged: Replica.processTag)
                    try await Standby.check(process)
                    return Place(sandbox: standby.sandbox, recipe: recipe, standby: (process, links))
                }
            } catch {
                try Task.checkCancellation()
                try fallback(error)
                try await provider.destroy(standby.sandbox.id)
            }
        }
        let deadline = provider.showsHostFolders ? Self.sandboxDeadline : Self.remoteSandboxDeadline
        var specification = recipe.specification
        specification.id = id
        specification.labels = labels
        specification.mounts += models
        specification.isYielding = isTriedAgain
        let sandbox = try await withDeadline(
            deadline, clock: workshop.clock,
            BerthError(.sandbox, "the sandbox was not ready within \(deadline)", suggestion: "run `berth doctor`")
        ) { [specification] in
            try await provider.create(specification)
        }
        return Place(sandbox: sandbox, recipe: recipe, standby: nil)
    }

    /// Starts the app and begins to read its output, in a task of `tasks`.
    func start(in place: Place, output: OutputCapture, tasks: OwnedTasks) async throws -> Replica {
        let specification = try processSpecification(in: place)
        let process = try await withDeadline(
            Self.startDeadline, clock: workshop.clock,
            BerthError(.startFailed, "the process did not start within \(Self.startDeadline)")
        ) {
            guard let standby = place.standby else { return try await place.sandbox.start(specification) }
            let role = Standby.Role(
                command: Array(specification.command.dropFirst()),
                folder: specification.workingDirectory ?? place.sandbox.appFolder,
                environment: specification.environment, links: standby.links)
            try await standby.process.write(try role.line())
            return standby.process
        }
        return capture(process, in: place.sandbox, output: output, tasks: tasks)
    }

    /// Begins to read the output of the app's process.
    func capture(
        _ process: any SandboxProcess, in sandbox: any Sandbox, output: OutputCapture, tasks: OwnedTasks
    ) -> Replica {
        let clock = workshop.clock
        tasks.start { await output.run(process, in: sandbox, clock: clock) }
        return Replica(snapshot: snapshot, sandbox: sandbox, output: output)
    }

    /// Waits for evidence of health.
    ///
    /// - Parameter recipe: of the standby that imports meanwhile what the app imports; nil when there is none.
    func waitUntilReady(
        _ replica: Replica, followedBy recipe: StandbyRecipe?,
        onOutcome: @escaping @Sendable (ProbeOutcome) -> Void = { _ in }
    ) async throws {
        let looks = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        async let _: Void = {
            for await _ in looks.stream { await follow(replica, recipe) }
        }()
        try await workshop.prober.waitUntilReady(
            replica.sandbox, tag: Replica.processTag, exit: { await replica.output.exit.wait() ?? nil },
            manifest: snapshot.manifest, nonce: replica.expectedNonce, onOutcome: onOutcome,
            afterEach: { looks.continuation.yield() })
    }

    private func processSpecification(in place: Place) throws -> ProcessSpecification {
        let sandbox = place.sandbox
        let variables = place.recipe.variables(in: sandbox).merging([
            "PORT": "\(sandbox.port)", "BERTH_REVISION": snapshot.record.nonce,
            "BERTH_DEPLOYMENT": snapshot.manifest.name, "BERTH_IMPORTS": sandbox.importedNames,
        ]) { $1 }
        let start = try appStart()
        var command = start.command
        if command.first == "python" { command[0] = place.recipe.python(in: sandbox) }
        return ProcessSpecification(
            tag: Replica.processTag, command: command, environment: variables,
            workingDirectory: start.workingDirectory.map { "\(sandbox.appFolder)/\($0)" })
    }

    private func appStart() throws -> AppStart {
        try workshop.templates.start(for: snapshot.manifest, files: snapshot.bundle.map(\.path))
    }
}

extension ReplicaLauncher {
    /// Takes a standby for this revision, if one is ready.
    func takeStandby(_ environment: BuiltEnvironment) async -> Standby? {
        provider.showsHostFolders ? await workshop.standbys.take(recipe(environment)) : nil
    }

    /// The recipe of the standby that learns from a cold start; nil when there is none.
    ///
    /// One that fails again and again is to disturb nobody, and on a single processor the start that somebody waits for
    /// would take twice as long.
    func followingRecipe(_ environment: BuiltEnvironment) -> StandbyRecipe? {
        let isWelcome = !isTriedAgain && ProcessInfo.processInfo.activeProcessorCount > 1
        return isWelcome && wantedStandbys > 0 ? recipe(environment) : nil
    }

    /// Lets a standby import what a replica that still has to prove itself has imported so far.
    func follow(_ replica: Replica, _ recipe: StandbyRecipe?) async {
        guard let recipe, let names = try? await imports(of: replica) else { return }
        await workshop.standbys.follow(recipe, names: names) { replica.output.note($0) }
    }

    /// Sees to it that the next start finds a standby: one that has imported what this replica imported.
    func refillStandbys(after replica: Replica) async {
        await refillStandbys(replica.output) {
            let names = try await imports(of: replica)
            if snapshot.manifest.idle?.stopAfter != nil {
                try? workshop.store.setImports(names, of: snapshot.record.deployment, revision: snapshot.record.number)
            }
            return names
        }
    }

    /// The same for a revision that sleeps: what it imports is known from before.
    func refillStandbysOfSleeper() async {
        await refillStandbys(makeOutput()) {
            try workshop.store.imports(of: snapshot.record.deployment, revision: snapshot.record.number)
        }
    }

    private func refillStandbys(_ output: OutputCapture, names: () async throws -> [UInt8]?) async {
        let wanted = wantedStandbys
        guard wanted > 0, let names = try? await names(), let environment = try? await environment() else { return }
        await workshop.standbys.refill(recipe(environment), names: names, wanted: wanted) { output.note($0) }
    }

    private func imports(of replica: Replica) async throws -> [UInt8] {
        try await replica.sandbox.read(replica.sandbox.importedNames, limit: Standby.namesLimit)
    }

    /// How many standbys there are to be; none where there can be none.
    private var wantedStandbys: Int {
        guard provider.showsHostFolders, let start = try? appStart(), Standby.canBecome(start.command) else { return 0 }
        return min(snapshot.manifest.standby ?? Manifest.defaultStandby, workshop.standbys.limit)
    }
}
