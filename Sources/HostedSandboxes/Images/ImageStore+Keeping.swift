import DeploymentCore
import DeploymentStore
import E2BProtocol
import Sandboxes

extension ImageStore: FileKeeping {
    /// A sandbox of a client as images see it.
    ///
    /// - Throws: a `ControlFailure` when what it was made from is not known any more.
    func held(
        _ sandbox: any Sandbox, of record: HostedSandboxRecord, token: String?
    ) async throws -> HeldSandbox {
        var image = try await origin(template: record.template, build: record.build, alias: record.alias)
        image.processors = record.processors
        image.memoryMiB = record.memoryMiB
        return try HeldSandbox(sandbox, image: image, token: token, mounts: record.volumeMounts.map(\.path))
    }

    /// Stores the files of a running sandbox, without what lives only as long as a machine runs.
    public func keep(
        _ sandbox: any Sandbox, of record: HostedSandboxRecord, token: String?
    ) async throws -> KeptFiles {
        let held = try await held(sandbox, of: record, token: token)
        var stored = await stored(held.image, archive: nil)
        return try await ProcessCensus.take(held).still(held, staysStill: true) {
            let archive = try await archives.store { deliver in
                try await SandboxFiles(of: held).pack(withVolatile: false, deliver)
            }
            stored.archive = archive.digest
            return KeptFiles(archive: archive.digest, content: try stored.text())
        }
    }

    /// Lets all that stands still go on: who stopped a process is not known any more.
    public func release(_ sandbox: any Sandbox, of record: HostedSandboxRecord, token: String?) async throws {
        let held = try await held(sandbox, of: record, token: token)
        let census = try await ProcessCensus.take(held)
        let stopped = (census.users + census.restartable).filter(\.isStopped).map(\.pid)
        try await ProcessCensus.signal("CONT", stopped, held)
    }

    /// What the sandbox was made from, with its files.
    public func image(of files: KeptFiles, of record: HostedSandboxRecord) async throws -> SandboxImage {
        guard archives.contains(files.archive) else {
            throw ControlFailure(
                500,
                "the files of sandbox \(record.id) are gone from \(archives.folder): nothing of it can be brought back")
        }
        return try await restore(
            try StoredImage(text: files.content), template: record.template, build: record.build, alias: record.alias)
    }

    /// Lets go of files that a record names by now, or none does.
    public func settle(_ files: KeptFiles) {
        archives.unpin(files.archive)
        release([files.archive])
    }

    /// Removes files that no record names.
    public func remove(_ archive: String) { release([archive]) }
}
