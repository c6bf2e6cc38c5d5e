import DeploymentCore
import E2BProtocol
import Foundation
import Sandboxes

extension SandboxImage {
    /// The tag of the process that an image's start command is.
    public static let startTag = "start"
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

extension Timestamp {
    /// From milliseconds since 1970.
    public init(milliseconds: Int64) {
        self.init(seconds: milliseconds / 1000, nanoseconds: Int32(milliseconds % 1000) * 1_000_000)
    }
}

extension ControlFailure {
    /// An error of ours as the control plane tells it.
    public init(_ error: any Error) {
        switch error {
        case let failure as ControlFailure: self = failure
        case let error as BerthError: self.init(error)
        default: self.init(500, "\(error)")
        }
    }

    private init(_ error: BerthError) {
        let text = [error.description, error.suggestion].compactMap { $0 }.joined(separator: "; ")
        switch error.code {
        case .notFound: self.init(404, text)
        case .conflict: self.init(409, text)
        case .usage: self.init(400, text)
        case .tooLarge: self.init(413, text)
        case .storageFull: self.init(507, text)
        case .quota: self.init(429, text, shouldRetry: false)
        default: self.init(500, text)
        }
    }
}
