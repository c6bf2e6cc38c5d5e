import Crypto
import DeploymentCore
import Foundation
import Glibc
import HostDisk

/// What a sandbox has to be shown: a file or folder of the host, read-only.
public struct ModelMount: Sendable, Equatable, Codable {
    /// The absolute path on the host; its inodes are shared, so it must never be mounted writable.
    public let source: String
    /// Where it lands, relative to the app folder.
    public let target: String
}

/// Model files in the shape in which they are mounted.
public struct BundleStore: Sendable {
    private let folder: String
    private let blobs: BlobStore

    /// Keeps folders of hardlinks in `folder` (`$BERTH_HOME/bundles`), which must share a filesystem with the blobs.
    public init(folder: String, blobs: BlobStore) throws(BerthError) {
        self.folder = folder
        self.blobs = blobs
        try Disk.makeFolder(folder)
    }

    /// What is mounted for a bundle: a single file is its blob, a directory a folder of hardlinks to blobs.
    ///
    /// A folder is named after its content, so that revisions with the same model share it.
    /// - Throws: `not_found` naming a blob that is not there; `storage_full`.
    public func modelMounts(_ bundle: Bundle) async throws -> [ModelMount] {
        try await blocking {
            let models = bundle.files.filter { $0.kind == .model }
            var mounts: [ModelMount] = []
            for file in models where file.root == nil {
                mounts.append(ModelMount(source: try path(of: file), target: file.path))
            }
            for (root, files) in Dictionary(grouping: models.filter { $0.root != nil }, by: { $0.root ?? "" }) {
                mounts.append(ModelMount(source: try materialise(files, root), target: root))
            }
            return mounts.sorted { $0.target < $1.target }
        }
    }

    /// The digests of the folders that a bundle's directories are mounted from; what garbage collection keeps.
    public static func folders(of bundle: Bundle) -> Set<String> {
        let models = bundle.files.filter { $0.kind == .model && $0.root != nil }
        return Set(Dictionary(grouping: models, by: { $0.root ?? "" }).map { digest($0.value, $0.key) })
    }

    /// Removes folders that are not in `keeping`, unless they changed within `graceSeconds`. Returns the removed.
    @discardableResult public func collectGarbage(
        keeping: Set<String>, graceSeconds: Int = BlobStore.graceSeconds
    ) -> [String] {
        Disk.names(in: folder).filter { name in
            guard !keeping.contains(name), (Disk.age("\(folder)/\(name)") ?? 0) >= graceSeconds else { return false }
            // Renamed first, so that nobody mounts what is half removed.
            let gone = "\(folder)/gone-\(getpid())-\(UInt32.random(in: 0 ... .max))"
            guard rename("\(folder)/\(name)", gone) == 0 else { return false }
            Disk.remove(gone)
            return true
        }
    }

    private func materialise(_ files: [FileEntry], _ root: String) throws -> String {
        let place = "\(folder)/\(Self.digest(files, root))"
        // It is young again, so that a collection leaves it alone until a sandbox shows it.
        Disk.touch(place)
        if access(place, R_OK) == 0 { return place }
        let temporary = "\(place).tmp-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        defer { Disk.remove(temporary) }
        try Disk.makeFolder(temporary)
        for file in files {
            let target = "\(temporary)/\(file.path.dropFirst(root.count + 1))"
            try Disk.makeFolder(target.parentPath)
            guard link(try path(of: file), target) == 0 else { throw Disk.failure("link", target) }
        }
        try Disk.syncFolder(temporary)
        if rename(temporary, place) != 0 {
            // Somebody else was faster; the content is the same.
            guard errno == EEXIST || errno == ENOTEMPTY else { throw Disk.failure("finish", place) }
        }
        try Disk.syncFolder(folder)
        return place
    }

    private func path(of file: FileEntry) throws(BerthError) -> String {
        guard let path = blobs.path(of: file.sha256) else {
            throw BerthError(.notFound, "the content of \(file.path) (sha256 \(file.sha256)) is not in the store")
        }
        return path
    }

    private static func digest(_ files: [FileEntry], _ root: String) -> String {
        var hasher = SHA256()
        for file in files.sorted(by: { $0.path < $1.path }) {
            hasher.update(data: Data("\(file.path.dropFirst(root.count))\u{0}\(file.sha256)\n".utf8))
        }
        return hasher.finalize().hex
    }
}
