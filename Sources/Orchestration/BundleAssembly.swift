import AppTemplates
import Artifacts
import ControlAPI
import DeploymentCore
import DeploymentStore

/// From a manifest and the client's files to a complete bundle: remote files fetched, the app rendered.
struct BundleAssembly: Sendable {
    let workshop: Workshop
    let manifest: Manifest
    /// The files that the client sent, or the complete bundle of a revision that existed before.
    let given: [BundleFile]
    /// Whether the revision was rendered by an earlier rollout: then it stays as it was, whatever templates say today.
    let isComplete: Bool

    init(workshop: Workshop, snapshot: Snapshot) {
        self.workshop = workshop
        manifest = snapshot.manifest
        given = snapshot.bundle
        isComplete = !snapshot.record.bundleDigest.isEmpty
    }

    /// Fetches remote model files and checks that every given blob is here, whole and as pinned.
    func fetchArtifacts(
        progress: @escaping @Sendable (String) -> Void
    ) async throws -> ([BundleFile], StageOutcome) {
        let missing = workshop.blobs.missing(given.map(\.sha256))
        if let digest = missing.first, let file = given.first(where: { $0.sha256 == digest }) {
            throw BerthError(
                .artifact, "the bytes of \(file.path) were not uploaded (sha256 \(digest.prefix(12))…)",
                suggestion: "deploy again; the client uploads what is missing")
        }
        var files = given
        var fetched = 0
        for file in manifest.model.files where file.isRemote {
            guard !files.contains(where: { $0.path == file.target }) else { continue }
            let isHere = file.sha256.map { workshop.blobs.missing([$0]).isEmpty } ?? false
            let blob = try await workshop.blobs.download(file.source, sha256: file.sha256) { received, total in
                let total = total.map { " of \(ByteCount.text($0))" } ?? ""
                progress("\(file.target): \(ByteCount.text(received))\(total)")
            }
            if !isHere { fetched += 1 }
            files.append(BundleFile(path: file.target, sha256: blob.digest, size: blob.size, role: .model))
        }
        try checkPins(files)
        let models = files.filter { $0.role == .model }
        let bytes = models.reduce(0) { $0 + $1.size }
        let detail = "\(models.count) model file\(models.count == 1 ? "" : "s"), \(ByteCount.text(bytes))"
        return (files, StageOutcome(detail: detail, isReused: fetched == 0))
    }

    private func checkPins(_ files: [BundleFile]) throws {
        for pinned in manifest.model.files {
            guard let digest = pinned.sha256, let file = files.first(where: { $0.path == pinned.target }),
                file.sha256 != digest
            else { continue }
            throw BerthError(
                .artifact, "\(pinned.source) has sha256 \(file.sha256), but the manifest pins \(digest)",
                suggestion: "restore the file that was pinned, or pin the new digest if the change is meant")
        }
    }

    /// Renders the app unless the bundle is complete already; returns all files and their digest.
    func render(
        with files: [BundleFile]
    ) async throws -> ((files: [BundleFile], digest: String), StageOutcome) {
        var complete = files
        for file in isComplete ? [] : try workshop.templates.render(manifest) {
            let blob = try await workshop.blobs.add(Array(file.contents.utf8))
            complete.append(BundleFile(path: file.path, sha256: blob.digest, size: blob.size, role: .app))
        }
        let bundle = try Bundle(files: complete.map(\.entry))
        let detail = "\(complete.count) file\(complete.count == 1 ? "" : "s"), bundle \(bundle.digest.prefix(8))"
        return ((complete, bundle.digest), StageOutcome(detail: detail, isReused: isComplete))
    }
}

extension BundleFile {
    /// The file as `Artifacts` knows it; it is read from the blob store, not from where it once lay.
    var entry: FileEntry {
        let kind: FileEntry.Kind =
            switch role {
            case .app: .app
            case .model: .model
            case .smoke: .smoke
            }
        return FileEntry(
            path: path, source: "", size: size, sha256: sha256, executable: isExecutable, kind: kind, root: root)
    }
}
