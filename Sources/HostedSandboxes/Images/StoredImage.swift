import DeploymentCore
import Foundation
import Sandboxes

extension SandboxImage {
    /// The tag of the process that an image's start command is.
    public static let startTag = SandboxSetup.startTag
}

/// An image as the database keeps it.
struct StoredImage: Codable, Sendable, Equatable {
    /// The built-in image whose mounts it has; nil when `mounts` says them.
    var base: String?
    var mounts: [SandboxSpecification.Mount]
    var archive: String?
    var environment: [String: String]
    var user: String
    var workdir: String?
    var startCommand: String?
    var readyCommand: String?
    var processors: Int
    var memoryMiB: Int

    init(_ image: SandboxImage, base: String?, archive: String?) {
        self.base = base
        mounts = base == nil ? image.mounts : []
        self.archive = archive
        environment = image.environment
        user = image.user
        workdir = image.workdir
        startCommand = image.startCommand
        readyCommand = image.readyCommand
        processors = image.processors
        memoryMiB = image.memoryMiB
    }

    init(text: String) throws {
        do {
            self = try JSONDecoder().decode(StoredImage.self, from: Data(text.utf8))
        } catch {
            throw BerthError(.internalError, "an image in the store cannot be read", cause: error)
        }
    }

    func text() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        return String(decoding: try encoder.encode(self), as: UTF8.self)
    }

    func image(template: String, build: String, alias: String?, archives: ArchiveStore) -> SandboxImage {
        SandboxImage(
            template: template, build: build, alias: alias, mounts: mounts, archive: archive.map(archives.path),
            environment: environment, user: user, workdir: workdir, startCommand: startCommand,
            readyCommand: readyCommand, processors: processors, memoryMiB: memoryMiB)
    }
}
