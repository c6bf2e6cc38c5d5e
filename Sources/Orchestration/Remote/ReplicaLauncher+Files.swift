import Artifacts
import ControlAPI
import DeploymentCore
import DeploymentStore
import Sandboxes
import Waiting

extension ReplicaLauncher {
    /// What the journal finds the environment by.
    var environmentKey: String { BlobStore.digest(of: Array(snapshot.record.lock.utf8)) }

    /// The environment that the sandbox is going to have: built here where it can be shown, named where it is installed.
    func environment(progress: @escaping @Sendable (String) -> Void = { _ in }) async throws -> BuiltEnvironment {
        let lock = snapshot.record.lock
        guard !provider.showsHostFolders else {
            return try await workshop.environments.environment(
                lock: lock, python: snapshot.manifest.python, progress: progress)
        }
        var environment = BuiltEnvironment(
            digest: environmentKey, folder: SandboxInstallation.folder, interpreterFolder: nil,
            packages: installation.packages, isReused: false)
        environment.isInside = true
        return environment
    }

    private var installation: SandboxInstallation {
        SandboxInstallation(lock: snapshot.record.lock, python: snapshot.manifest.python)
    }

    /// Installs in the sandbox what could not be shown to it; then it reaches what its manifest says, and nothing more.
    func complete(
        _ sandbox: any Sandbox, progress: @escaping @Sendable (String) -> Void = { _ in }
    ) async throws {
        guard !provider.showsHostFolders else { return }
        let installation = installation
        try await withDeadline(
            RolloutRunner.environmentDeadline, clock: workshop.clock,
            BerthError(.dependencies, "the packages were not installed within \(RolloutRunner.environmentDeadline)")
        ) {
            try await installation.run(in: sandbox, progress: progress)
            try await sandbox.seal()
        }
    }

    /// The model files as they are shown in the sandbox; none where they are uploaded.
    func modelMounts() async throws -> [SandboxSpecification.Mount] {
        guard provider.showsHostFolders else { return [] }
        return try await workshop.bundles.modelMounts(Bundle(files: snapshot.bundle.map(\.entry))).map {
            SandboxSpecification.Mount(source: $0.source, target: "\(SandboxSpecification.appFolder)/\($0.target)")
        }
    }

    /// Writes the app's files, and the model's where they cannot be shown; returns how many, and their bytes.
    func upload(
        to sandbox: any Sandbox, progress: @escaping @Sendable (String) -> Void = { _ in }
    ) async throws -> (count: Int, bytes: Int64) {
        let isRemote = !provider.showsHostFolders
        let files = snapshot.bundle.filter { $0.role == .app || (isRemote && $0.role == .model) }
        let blobs = workshop.blobs
        let deadline = isRemote ? Self.remoteUploadDeadline : Self.uploadDeadline
        try await withDeadline(
            deadline, clock: workshop.clock,
            BerthError(.sandbox, "the files were not written within \(deadline)")
        ) {
            for file in files {
                let path = "\(sandbox.appFolder)/\(file.path)"
                guard file.role == .model else {
                    let bytes = try await blobs.read(file.sha256)
                    try await sandbox.write(bytes, to: path, executable: file.isExecutable)
                    continue
                }
                guard let blob = blobs.path(of: file.sha256) else {
                    throw BerthError(.artifact, "the content of \(file.path) is not here any more")
                }
                try await sandbox.upload(
                    blob, length: file.size, to: path, executable: file.isExecutable, timeout: deadline
                ) { progress("\(file.path): \(ByteCount.text($0)) of \(ByteCount.text(file.size))") }
            }
        }
        return (files.count, files.reduce(0) { $0 + $1.size })
    }
}

extension BuiltEnvironment {
    /// What the stage says of it.
    var outcome: StageOutcome {
        let detail = "\(packages) package\(packages == 1 ? "" : "s"), \(digest.prefix(8))"
        return StageOutcome(detail: isInside ? "\(detail), installed in the sandbox" : detail, isReused: isReused)
    }
}
