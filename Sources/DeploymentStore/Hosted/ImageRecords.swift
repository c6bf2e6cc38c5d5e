import DeploymentCore
import GRDB

/// A template: what builds belong to.
public struct TemplateRecord: Codable, Sendable, Equatable, FetchableRecord, PersistableRecord {
    /// The table.
    public static let databaseTableName = "imageTemplate"
    /// The id.
    public var id: String
    /// Whether others may use it.
    public var isPublic: Bool
    /// When it was made, in milliseconds since 1970.
    public var createdAt: Int64
    /// When something of it changed, in milliseconds since 1970.
    public var updatedAt: Int64

    /// Creates a record.
    public init(id: String, isPublic: Bool = false, createdAt: Int64) {
        self.id = id
        self.isPublic = isPublic
        self.createdAt = createdAt
        updatedAt = createdAt
    }
}

/// A template's name.
struct TemplateNameRecord: Codable, FetchableRecord, PersistableRecord {
    static let databaseTableName = "imageName"
    var name: String
    var template: String
}

/// A build of a template.
public struct TemplateBuildRecord: Codable, Sendable, Equatable, FetchableRecord, PersistableRecord {
    /// Where a build stands.
    public enum Status: String, Codable, Sendable {
        case waiting, building, ready, error
    }

    /// The table.
    public static let databaseTableName = "imageBuild"
    /// The id, a UUID.
    public var id: String
    /// The template's id.
    public var template: String
    /// Where it stands.
    public var status: Status
    /// What it is called once it is ready; separated by spaces.
    public var tags: String
    /// The image as JSON; nil until it is ready.
    public var content: String?
    /// The digest of its files; nil for none.
    public var archive: String?
    /// Why it failed.
    public var failure: String?
    /// The step that failed.
    public var failedStep: String?
    /// Processors of its sandboxes.
    public var processors: Int
    /// Memory of its sandboxes, in MiB.
    public var memoryMiB: Int
    /// When it was asked for, in milliseconds since 1970.
    public var createdAt: Int64
    /// When it ended, in milliseconds since 1970.
    public var finishedAt: Int64?

    /// Creates a record of a build that has not begun.
    public init(id: String, template: String, tags: [String], processors: Int, memoryMiB: Int, createdAt: Int64) {
        self.id = id
        self.template = template
        status = .waiting
        self.tags = tags.joined(separator: " ")
        self.processors = processors
        self.memoryMiB = memoryMiB
        self.createdAt = createdAt
    }
}

/// What a build is called.
public struct TemplateTagRecord: Codable, Sendable, Equatable, FetchableRecord, PersistableRecord {
    /// The table.
    public static let databaseTableName = "imageTag"
    /// The template's id.
    public var template: String
    /// The tag.
    public var tag: String
    /// The build's id.
    public var build: String
    /// When it was called so, in milliseconds since 1970.
    public var createdAt: Int64
}

/// A line of a build's log.
public struct BuildLogRecord: Codable, Sendable, Equatable, FetchableRecord, MutablePersistableRecord {
    /// The table.
    public static let databaseTableName = "imageBuildLog"
    /// The number that the store gives.
    public var id: Int64?
    /// The build's id.
    public var build: String
    /// When it was written, in milliseconds since 1970.
    public var time: Int64
    /// `debug`, `info`, `warn` or `error`.
    public var level: String
    /// The line.
    public var message: String
    /// The step as its number from 1, `base` or `finalize`.
    public var step: String?

    /// Creates a line.
    public init(build: String, time: Int64, level: String, message: String, step: String?) {
        self.build = build
        self.time = time
        self.level = level
        self.message = message
        self.step = step
    }
}

/// What a build made on the way, for later builds that begin alike.
public struct ImageLayerRecord: Codable, Sendable, Equatable, FetchableRecord, PersistableRecord {
    /// The table.
    public static let databaseTableName = "imageLayer"
    /// The digest of all that led to it.
    public var key: String
    /// The image as JSON.
    public var content: String
    /// The digest of its files; nil for none.
    public var archive: String?
    /// How large they are.
    public var bytes: Int64
    /// When it was used for the last time, in milliseconds since 1970.
    public var usedAt: Int64

    /// Creates a record.
    public init(key: String, content: String, archive: String?, bytes: Int64, usedAt: Int64) {
        self.key = key
        self.content = content
        self.archive = archive
        self.bytes = bytes
        self.usedAt = usedAt
    }
}

/// The files of a sandbox as they once were.
public struct SnapshotRecord: Codable, Sendable, Equatable, FetchableRecord, PersistableRecord {
    /// The table.
    public static let databaseTableName = "imageSnapshot"
    /// The id.
    public var id: String
    /// Its name; nil for none.
    public var name: String?
    /// The tag of its name.
    public var tag: String
    /// The sandbox's id.
    public var sandbox: String
    /// The image as JSON.
    public var content: String
    /// The digest of its files.
    public var archive: String
    /// When it was made, in milliseconds since 1970.
    public var createdAt: Int64

    /// Creates a record.
    public init(
        id: String, name: String?, tag: String, sandbox: String, content: String, archive: String, createdAt: Int64
    ) {
        self.id = id
        self.name = name
        self.tag = tag
        self.sandbox = sandbox
        self.content = content
        self.archive = archive
        self.createdAt = createdAt
    }
}
