import AppTemplates
import Artifacts
import ControlAPI
import DeploymentCore
import DeploymentStore
import HealthProbing
import Sandboxes

/// The four stages from a complete revision to a healthy replica: sandbox, upload, start, health.
///
/// A rollout runs them with its journal; a restart runs them alone.
struct ReplicaLauncher: Sendable {
    /// The deadline of creating a sandbox.
    static let sandboxDeadline = Duration.seconds(30)
    /// The deadline of writing the bundle into it.
    static let uploadDeadline = Duration.seconds(600)
    /// The deadline of starting the process in it, which waits for nothing.
    static let startDeadline = Duration.seconds(30)

    let workshop: Workshop
    let snapshot: Snapshot
    let rollout: String

    /// What will read the app's output.
    func makeOutput() -> OutputCapture {
        workshop.logs.open(snapshot.record.deployment)
        return OutputCapture(
            log: workshop.logs, deployment: snapshot.record.deployment, revision: snapshot.record.number)
    }

    /// Creates the sandbox `id` with the environment and the model files in it.
    func createSandbox(_ id: String, environment: BuiltEnvironment) async throws -> any Sandbox {
        let models = try await workshop.bundles.modelMounts(Bundle(files: snapshot.bundle.map(\.entry))).map {
            SandboxSpecification.Mount(source: $0.source, target: "\(SandboxSpecification.appFolder)/\($0.target)")
        }
        let specification = SandboxSpecification(
            id: id,
            labels: SandboxLabels(
                deployment: snapshot.record.deployment, nonce: snapshot.record.nonce, rollout: rollout),
            mounts: environment.mounts + models, port: snapshot.manifest.server.port)
        let provider = workshop.provider
        return try await withDeadline(
            Self.sandboxDeadline, clock: workshop.clock,
            BerthError(
                .sandbox, "the sandbox was not ready within \(Self.sandboxDeadline)", suggestion: "run `berth doctor`")
        ) {
            try await provider.create(specification)
        }
    }

    /// Writes the app's files; returns how many, and their bytes.
    func upload(to sandbox: any Sandbox) async throws -> (count: Int, bytes: Int64) {
        let files = snapshot.bundle.filter { $0.role == .app }
        let blobs = workshop.blobs
        try await withDeadline(
            Self.uploadDeadline, clock: workshop.clock,
            BerthError(.sandbox, "the files were not written within \(Self.uploadDeadline)")
        ) {
            for file in files {
                let bytes = try await blobs.read(file.sha256)
                try await sandbox.write(
                    bytes, to: "\(sandbox.appFolder)/\(file.path)", executable: file.isExecutable)
            }
        }
        return (files.count, files.reduce(0) { $0 + $1.size })
    }

    /// Starts the app and begins to read its output, in a task of `tasks`.
    func start(
        in sandbox: any Sandbox, environment: BuiltEnvironment, output: OutputCapture, tasks: OwnedTasks
    ) async throws -> Replica {
        let specification = try processSpecification(in: sandbox, environment: environment)
        let process = try await withDeadline(
            Self.startDeadline, clock: workshop.clock,
            BerthError(.startFailed, "the process did not start within \(Self.startDeadline)")
        ) {
            try await sandbox.start(specification)
        }
        return capture(process, in: sandbox, output: output, tasks: tasks)
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
    func waitUntilReady(_ replica: Replica, onOutcome: @escaping @Sendable (ProbeOutcome) -> Void) async throws {
        try await workshop.prober.waitUntilReady(
            replica.sandbox, tag: Replica.processTag, exit: { await replica.output.exit.wait() ?? nil },
            manifest: snapshot.manifest, nonce: replica.expectedNonce, onOutcome: onOutcome)
    }

    private func processSpecification(
        in sandbox: any Sandbox, environment: BuiltEnvironment
    ) throws -> ProcessSpecification {
        let manifest = snapshot.manifest
        let folder = sandbox.path(
            of: SandboxSpecification.Mount(source: environment.folder, target: BuiltEnvironment.target))
        // One thread per library unless the manifest says more: replicas share the machine, and pools multiply.
        let defaults = [
            "PATH": "\(folder)/bin:/usr/local/bin:/usr/bin:/bin", "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1",
        ]
        var variables = [
            "PORT": "\(sandbox.port)", "BERTH_REVISION": snapshot.record.nonce, "BERTH_DEPLOYMENT": manifest.name,
            "VIRTUAL_ENV": folder,
        ]
        variables.merge(manifest.env.merging(defaults) { own, _ in own }) { ours, _ in ours }
        let start = try workshop.templates.start(for: manifest, files: snapshot.bundle.map(\.path))
        var command = start.command
        if command.first == "python" { command[0] = "\(folder)/bin/python" }
        return ProcessSpecification(
            tag: Replica.processTag, command: command, environment: variables,
            workingDirectory: start.workingDirectory.map { "\(sandbox.appFolder)/\($0)" })
    }
}
