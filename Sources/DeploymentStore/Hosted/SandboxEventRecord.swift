import DeploymentCore
import GRDB

/// Something that happened to a sandbox of a client: written with the change itself, so that none is lost.
public struct SandboxEventRecord: Codable, Sendable, Equatable {
    /// The event's id, a UUID in lower case; what receivers know repetitions by.
    public var id: String
    /// The sandbox's id.
    public var sandbox: String
    /// What happened.
    public var kind: Kind
    /// The id of the execution: one stretch of the sandbox's running.
    public var execution: String
    /// The template's id.
    public var template: String
    /// The id of the template's build.
    public var build: String
    /// What more is known, as a JSON object in the form that receivers get.
    public var data: String
    /// When, in milliseconds since 1970.
    public var time: Int64
    /// The place in the order of all events; nil until it is stored.
    public var number: Int64?

    /// What can happen to a sandbox.
    public enum Kind: String, Codable, Sendable, CaseIterable {
        /// It was made.
        case created
        /// Its end or its network was changed.
        case updated
        /// It was paused.
        case paused
        /// It runs again.
        case resumed
        /// It is gone.
        case killed
        /// A snapshot was made of it.
        case checkpointed
    }

    /// Creates a record.
    public init(
        id: String, sandbox: String, kind: Kind, execution: String, template: String, build: String, data: String,
        time: Int64, number: Int64? = nil
    ) {
        self.id = id
        self.sandbox = sandbox
        self.kind = kind
        self.execution = execution
        self.template = template
        self.build = build
        self.data = data
        self.time = time
        self.number = number
    }
}

extension SandboxEventRecord: FetchableRecord, MutablePersistableRecord {
    /// The table.
    public static var databaseTableName: String { "sandboxEvent" }

    /// Takes the number that the store gave.
    public mutating func didInsert(_ inserted: InsertionSuccess) { number = inserted.rowID }
}
