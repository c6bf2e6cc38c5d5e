import DeploymentCore
import GRDB

extension DeploymentRecord: FetchableRecord, PersistableRecord {
    /// The table.
    public static var databaseTableName: String { "deployment" }
}

extension RevisionRecord: FetchableRecord, PersistableRecord {
    /// The table.
    public static var databaseTableName: String { "revision" }
}

extension RolloutRecord: FetchableRecord, PersistableRecord {
    /// The table.
    public static var databaseTableName: String { "rollout" }
}

extension ReplicaRecord: FetchableRecord, PersistableRecord {
    /// The table.
    public static var databaseTableName: String { "replica" }
}

extension JournalRecord: FetchableRecord, MutablePersistableRecord {
    /// The table.
    public static var databaseTableName: String { "journal" }

    /// Takes the number that the store gave.
    public mutating func didInsert(_ inserted: InsertionSuccess) { id = inserted.rowID }
}

extension LifecycleRecord: FetchableRecord, MutablePersistableRecord {
    /// The table.
    public static var databaseTableName: String { "lifecycleEvent" }

    /// Takes the number that the store gave.
    public mutating func didInsert(_ inserted: InsertionSuccess) { id = inserted.rowID }
}

extension EventRecord: FetchableRecord, MutablePersistableRecord {
    /// The table.
    public static var databaseTableName: String { "event" }

    /// Takes the number that the store gave.
    public mutating func didInsert(_ inserted: InsertionSuccess) { id = inserted.rowID }
}
