import DeploymentCore
import DeploymentStore
import E2BProtocol
import Foundation
import Sandboxes
import Waiting

/// Snapshots and forks: the files of a sandbox, taken while nothing in it changes them.
///
/// Files are all that is kept. Where processes of the user run they are not the whole truth, and the client has to say
/// that they are enough (`memory: false`) or is refused.
public struct Snapshots: Sendable {
    let images: ImageStore
    let sandboxes: any ImageSandboxes

    /// Creates the service.
    public init(images: ImageStore, sandboxes: any ImageSandboxes) {
        self.images = images
        self.sandboxes = sandboxes
    }

    /// Takes a snapshot.
    ///
    /// - Throws: a `ControlFailure`: 400 for a wrong name, 404 for no sandbox, 409 when processes run in it and their
    ///   memory was asked for, 503 when the disk is full.
    public func take(_ sandbox: String, _ request: SnapshotRequest) async throws -> SnapshotInformation {
        let reference = try request.name.map { name throws(ControlFailure) in try ImageReference(name) }
        if let reference, !reference.isOwn || images.builtIn[reference.name] != nil {
            throw ControlFailure(400, "a snapshot cannot have the name '\(reference.name)'")
        }
        do {
            let taken = try await capture(sandbox, keepsMemory: request.keepsMemory ?? true)
            defer { images.archives.unpin(taken.digest) }
            let record = SnapshotRecord(
                id: Identifiers.random(), name: reference?.name,
                tag: reference?.effectiveTag ?? ImageReference.defaultTag,
                sandbox: sandbox, content: try await images.stored(taken.image, archive: taken.digest).text(),
                archive: taken.digest, createdAt: images.now())
            if let replaced = try images.store.add(record) { images.release([replaced.archive]) }
            let information = Self.information(record)
            await sandboxes.noteSnapshot(of: sandbox, snapshot: information.snapshot)
            return information
        } catch {
            throw ControlFailure(error)
        }
    }

    /// Snapshots, newest first, and where the next page begins.
    public func list(
        sandbox: String?, name: String?, limit: Int, after token: String?
    ) throws -> (page: [SnapshotInformation], next: String?) {
        guard (1...ImageStore.maximumPage).contains(limit) else {
            throw ControlFailure(400, "limit has to be between 1 and \(ImageStore.maximumPage)")
        }
        var place: (Int64, String)?
        if let token {
            let parts = token.split(separator: ".", maxSplits: 1)
            guard parts.count == 2, let time = Int64(parts[0]) else {
                throw ControlFailure(400, "nextToken is not one of ours")
            }
            place = (time, String(parts[1]))
        }
        let wanted = try name.map { name throws(ControlFailure) in try ImageReference(name).name }
        do {
            let records = try images.store.snapshots(sandbox: sandbox, name: wanted, after: place, limit: limit + 1)
            let page = records.prefix(limit)
            let next = records.count > limit ? page.last.map { "\($0.createdAt).\($0.id)" } : nil
            return (page.map(Self.information), next)
        } catch {
            throw ControlFailure(error)
        }
    }

    /// Makes copies of a sandbox; one that fails does not undo the others.
    public func fork(_ sandbox: String, _ request: ForkRequest) async throws -> [ForkResult] {
        do {
            let taken = try await capture(sandbox, keepsMemory: true)
            defer {
                images.archives.unpin(taken.digest)
                images.release([taken.digest])
            }
            return await withTaskGroup(of: (Int, ForkResult).self) { group in
                for number in 0..<request.count {
                    group.addTask {
                        do {
                            return (
                                number,
                                .sandbox(
                                    try await sandboxes.copy(of: sandbox, from: taken.image, timeout: request.timeout))
                            )
                        } catch {
                            return (number, .failure(ControlFailure(error)))
                        }
                    }
                }
                var results: [Int: ForkResult] = [:]
                for await (number, result) in group { results[number] = result }
                return results.sorted { $0.key < $1.key }.map(\.value)
            }
        } catch {
            throw ControlFailure(error)
        }
    }

    /// The sandbox's files as an image; the archive is pinned.
    func capture(_ sandbox: String, keepsMemory: Bool) async throws -> (image: SandboxImage, digest: String) {
        let archives = images.archives
        return try await sandboxes.hold(sandbox) { held in
            let census = try await ProcessCensus.take(held)
            guard !keepsMemory || census.users.isEmpty else {
                throw ControlFailure(
                    409,
                    "processes run in sandbox \(sandbox), and their memory cannot be kept here: \(census.names); "
                        + "end them, or ask for the files alone (memory: false)", shouldRetry: false)
            }
            let digest = try await census.still(held) {
                try await archives.store { deliver in
                    try await SandboxFiles(of: held).pack(withVolatile: keepsMemory, deliver)
                }.digest
            }
            var image = held.image
            image.archive = archives.path(of: digest)
            return (image, digest)
        }
    }

    static func information(_ record: SnapshotRecord) -> SnapshotInformation {
        guard let name = record.name else {
            return SnapshotInformation(snapshot: "\(record.id):\(record.tag)", names: [])
        }
        let full = "\(ImageReference.full(name)):\(record.tag)"
        return SnapshotInformation(snapshot: full, names: [full])
    }
}
