import GRDB

/// The schema, append-only: a released migration is never edited.
enum Migrations {
    static func all() -> DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("2026-11 deployments", migrate: deployments)
        migrator.registerMigration("2026-11 lifecycle", migrate: lifecycle)
        migrator.registerMigration("2026-11 identities") { database in
            try database.alter(table: "replica") { $0.add(column: "ownsIdentities", .boolean) }
        }
        migrator.registerMigration("2026-11 hosted sandboxes", migrate: hostedSandboxes)
        migrator.registerMigration("2026-11 sandbox events", migrate: sandboxEvents)
        migrator.registerMigration("2026-11 images", migrate: images)
        migrator.registerMigration("2026-11 pauses without memory", migrate: pausesWithoutMemory)
        migrator.registerMigration("2026-11 volumes", migrate: volumes)
        migrator.registerMigration("2026-11 imports") { database in
            try database.create(table: "imports") { table in
                table.primaryKey("deployment", .text).references("deployment", onDelete: .cascade)
                table.column("revision", .integer).notNull()
                table.column("names", .blob).notNull()
            }
        }
        return migrator
    }

    private static func lifecycle(_ database: Database) throws {
        try database.alter(table: "deployment") { table in
            table.add(column: "asleepSince", .integer)
            table.add(column: "expiresAt", .integer)
            table.add(column: "isEnding", .boolean).notNull().defaults(to: false)
        }
        // Without a reference: what happened to a deployment can be read when it is gone.
        try database.create(table: "lifecycleEvent") { table in
            table.autoIncrementedPrimaryKey("id")
            table.column("deployment", .text).notNull().indexed()
            table.column("kind", .text).notNull()
            table.column("detail", .text).notNull()
            table.column("time", .integer).notNull()
        }
    }

    private static func deployments(_ database: Database) throws {
        try database.create(table: "deployment") { table in
            table.primaryKey("name", .text).check { length($0) > 0 && length($0) <= 63 }
            table.column("activeRevision", .integer)
            table.column("createdAt", .integer).notNull()
            table.column("isEphemeral", .boolean).notNull()
        }
        try database.create(table: "revision") { table in
            table.column("deployment", .text).notNull().references("deployment", onDelete: .cascade)
            table.column("number", .integer).notNull().check { $0 > 0 }
            table.column("nonce", .text).notNull().unique()
            table.column("manifest", .text).notNull()
            table.column("bundle", .text).notNull()
            table.column("bundleDigest", .text).notNull()
            table.column("lock", .text).notNull()
            table.column("environmentDigest", .text).notNull()
            table.column("createdAt", .integer).notNull()
            table.column("status", .text).notNull()
                .check { ["pending", "active", "superseded", "failed"].contains($0) }
            table.primaryKey(["deployment", "number"])
        }
        // At most one revision of a deployment has the traffic, whatever the code believes.
        try database.create(
            index: "oneActiveRevision", on: "revision", columns: ["deployment"], options: .unique,
            condition: Column("status") == "active")
        try database.create(table: "rollout") { table in
            table.primaryKey("id", .text)
            table.column("deployment", .text).notNull().references("deployment", onDelete: .cascade)
            table.column("revision", .integer).notNull()
            table.column("kind", .text).notNull().check { ["deploy", "rollback", "test"].contains($0) }
            table.column("status", .text).notNull()
                .check { ["running", "promoted", "failed", "cancelled", "interrupted"].contains($0) }
            table.column("stage", .text).notNull()
            table.column("report", .text).notNull()
            table.column("failure", .text).notNull()
            table.column("startedAt", .integer).notNull()
            table.column("finishedAt", .integer)
        }
        try database.create(
            index: "oneRunningRollout", on: "rollout", columns: ["deployment"], options: .unique,
            condition: Column("status") == "running")
        try database.create(table: "replica") { table in
            table.primaryKey("sandbox", .text)
            table.column("deployment", .text).notNull().references("deployment", onDelete: .cascade)
            table.column("revision", .integer).notNull()
            table.column("isolation", .text).notNull()
            table.column("restarts", .integer).notNull()
        }
        try database.create(table: "journal") { table in
            table.autoIncrementedPrimaryKey("id")
            table.column("rollout", .text).notNull().references("rollout", onDelete: .cascade).indexed()
            table.column("stage", .text).notNull()
            table.column("key", .text).notNull()
            table.column("state", .text).notNull().check { ["intended", "done", "undone"].contains($0) }
        }
        try database.create(table: "event") { table in
            table.autoIncrementedPrimaryKey("id")
            table.column("rollout", .text).notNull().references("rollout", onDelete: .cascade).indexed()
            table.column("kind", .text).notNull()
            table.column("data", .text).notNull()
            table.column("time", .integer).notNull()
        }
    }
}
