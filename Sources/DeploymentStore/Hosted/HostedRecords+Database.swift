import GRDB

extension HostedSandboxRecord: FetchableRecord, PersistableRecord {
    /// The table.
    public static var databaseTableName: String { "hostedSandbox" }
}

extension HostedCreationRecord: FetchableRecord, PersistableRecord {
    /// The table.
    public static var databaseTableName: String { "hostedCreation" }
}
