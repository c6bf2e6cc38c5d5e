import DeploymentCore
import DeploymentStore
import E2BProtocol
import Foundation
import Sandboxes

/// The images that clients know: built-in ones, templates that were built here, and snapshots.
public struct ImageStore: ImageCatalog {
    /// A built-in image, made anew for each sandbox.
    public typealias BuiltIn = @Sendable () async throws -> SandboxImage
    /// Templates and snapshots in one answer.
    public static let maximumPage = 100

    let store: DeploymentStore
    /// The files of images.
    public let archives: ArchiveStore
    let builtIn: [String: BuiltIn]
    let now: @Sendable () -> Int64

    /// Creates a catalog.
    ///
    /// - Parameters:
    ///   - folder: Where the files of images are, absolute; of this user alone.
    ///   - builtIn: What is always there, by name: `base` at least.
    ///   - now: Milliseconds since 1970.
    public init(
        store: DeploymentStore, folder: String, builtIn: [String: BuiltIn], now: @escaping @Sendable () -> Int64
    ) {
        self.init(store: store, archives: ArchiveStore(folder: folder), builtIn: builtIn, now: now)
    }

    init(
        store: DeploymentStore, archives: ArchiveStore, builtIn: [String: BuiltIn],
        now: @escaping @Sendable () -> Int64
    ) {
        self.store = store
        self.archives = archives
        self.builtIn = builtIn
        self.now = now
    }

    /// Makes good what an earlier control plane left half-done; for the start, before anybody asks.
    public func recover() throws {
        try store.abandonBuilds("the control plane ended while the template was built; build it again", time: now())
        archives.sweep(keeping: try store.archives())
    }

    /// The image of a name or id.
    public func image(_ text: String) async throws -> SandboxImage {
        let reference = try ImageReference(text)
        guard reference.isOwn else { throw Self.missing(text) }
        if let make = builtIn[reference.name] {
            guard reference.effectiveTag == ImageReference.defaultTag else { throw Self.missing(text) }
            return try await make()
        }
        do {
            if let snapshot = try store.snapshot(reference.name, tag: reference.effectiveTag) {
                return try await image(of: snapshot)
            }
            guard let details = try store.template(reference.name) else { throw Self.missing(text) }
            return try await image(of: details, tag: reference.effectiveTag, text)
        } catch {
            throw ControlFailure(error)
        }
    }

    private func image(
        of details: DeploymentStore.TemplateDetails, tag: String, _ text: String
    ) async throws
        -> SandboxImage
    {
        let build = details.tags.first { $0.tag == tag }?.build
        guard let record = details.builds.first(where: { $0.id == build }), let content = record.content else {
            let reason = details.builds.isEmpty ? "has no build" : "has no build '\(tag)' that is ready"
            throw ControlFailure(404, "template '\(text)' \(reason)")
        }
        return try await restore(
            try StoredImage(text: content), template: details.template.id, build: record.id, alias: details.names.first)
    }

    /// What a sandbox was made from, without files; of a template that is gone too.
    func origin(template: String, build: String, alias: String?) async throws -> SandboxImage {
        if let content = try store.imageContent(of: build) {
            var stored = try StoredImage(text: content)
            stored.archive = nil
            return try await restore(stored, template: template, build: build, alias: alias)
        }
        guard let make = builtIn[template] else { throw Self.missing(alias ?? template) }
        return try await make()
    }

    func image(of snapshot: SnapshotRecord) async throws -> SandboxImage {
        try await restore(
            try StoredImage(text: snapshot.content), template: snapshot.id, build: snapshot.id, alias: snapshot.name)
    }

    func restore(
        _ stored: StoredImage, template: String, build: String, alias: String?
    ) async throws -> SandboxImage {
        var image = stored.image(template: template, build: build, alias: alias, archives: archives)
        if let digest = stored.archive, !archives.contains(digest) {
            throw ControlFailure(500, "the files of template '\(alias ?? template)' are gone; build it again")
        }
        if let base = stored.base {
            guard let make = builtIn[base] else {
                throw ControlFailure(
                    404, "template '\(alias ?? template)' is built on '\(base)', which is not here any more")
            }
            image.mounts = try await make().mounts
        }
        return image
    }

    /// An image as the database keeps it.
    func stored(_ image: SandboxImage, archive: String?) async -> StoredImage {
        for (name, make) in builtIn.sorted(by: { $0.key < $1.key }) {
            if let mounts = try? await make().mounts, mounts == image.mounts {
                return StoredImage(image, base: name, archive: archive)
            }
        }
        return StoredImage(image, base: nil, archive: archive)
    }

    /// Removes files that nothing refers to any more.
    func release(_ digests: [String?]) {
        // What cannot be removed now is at the next start.
        try? archives.remove(digests.compactMap { $0 }, unless: { try store.archives() })
    }

    static func missing(_ text: String) -> ControlFailure {
        ControlFailure(404, "template '\(text.prefix(300))' does not exist, or you do not have access to it")
    }
}
