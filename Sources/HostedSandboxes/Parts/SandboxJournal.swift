import DeploymentCore
import Foundation
import Glibc

/// Where logs and measurements of sandboxes are on disk, as long as the sandboxes are there.
struct SandboxJournal: Sendable {
    /// The folder, of this user alone: what start commands print may be secret.
    private let folder: String

    /// Makes the folder.
    ///
    /// - Throws: `internal_error` when it cannot be made.
    init(folder: String) throws {
        self.folder = folder
        do {
            try FileManager.default.createDirectory(
                atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch {
            throw BerthError(.internalError, "the folder \(folder) cannot be made", cause: error)
        }
    }

    func log(_ id: String) -> LineFile { LineFile(path: "\(folder)/\(id).log", capacity: SandboxLog.capacity) }

    func measurements(_ id: String) -> LineFile {
        LineFile(path: "\(folder)/\(id).metrics", capacity: MeasurementHistory.capacity)
    }

    /// Removes what sandboxes have left that are not there any more; for the start.
    func sweep(keeping ids: Set<String>) {
        for name in (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        where !ids.contains(String(name.prefix { $0 != "." })) || name.hasSuffix(".new") {
            unlink("\(folder)/\(name)")
        }
    }
}
