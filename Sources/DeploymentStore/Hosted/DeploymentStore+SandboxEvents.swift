import DeploymentCore
import GRDB

extension SandboxEventRecord: FetchableRecord, PersistableRecord {
    /// The table.
    public static var databaseTableName: String { "sandboxEvent" }
}

extension Migrations {
    static func sandboxEvents(_ database: Database) throws {
        try database.create(table: "sandboxEvent") { table in
            table.primaryKey("id", .text)
            table.column("sandbox", .text).notNull().indexed()
            table.column("kind", .text).notNull()
            table.column("execution", .text).notNull()
            table.column("template", .text).notNull()
            table.column("build", .text).notNull()
            table.column("data", .text).notNull()
            table.column("time", .integer).notNull().indexed()
        }
    }
}

extension DeploymentStore {
    static func append(_ event: SandboxEventRecord, _ database: Database) throws { try event.insert(database) }

    /// What happened to a sandbox, oldest first.
    func sandboxEvents(of sandbox: String) throws -> [SandboxEventRecord] {
        try read("read what happened to sandbox \(sandbox)") {
            try SandboxEventRecord.filter(Column("sandbox") == sandbox).order(Column.rowID).fetchAll($0)
        }
    }
}
