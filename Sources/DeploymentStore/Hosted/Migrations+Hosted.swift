import GRDB

extension Migrations {
    static func pausesWithoutMemory(_ database: Database) throws {
        try database.alter(table: "hostedSandbox") { table in
            table.add(column: "mounts", .text).notNull().defaults(to: "[]")
            table.add(column: "pausesWithMemory", .boolean).notNull().defaults(to: true)
            table.add(column: "pauseMode", .text).check { ["full", "filesystem"].contains($0) }
            table.add(column: "archive", .text)
            table.add(column: "content", .text)
        }
    }

    static func hostedSandboxes(_ database: Database) throws {
        try database.create(table: "hostedSandbox") { table in
            table.primaryKey("id", .text).check { length($0) > 0 && length($0) <= 63 }
            table.column("template", .text).notNull()
            table.column("build", .text).notNull()
            table.column("alias", .text)
            table.column("state", .text).notNull()
                .check { ["creating", "running", "pausing", "paused", "resuming", "ending"].contains($0) }
            table.column("execution", .text).notNull()
            table.column("createdAt", .integer).notNull()
            table.column("startedAt", .integer).notNull()
            table.column("endAt", .integer).notNull()
            table.column("timeout", .integer).notNull()
            table.column("processors", .integer).notNull()
            table.column("memoryMiB", .integer).notNull()
            table.column("isSecure", .boolean).notNull()
            table.column("pausesOnTimeout", .boolean).notNull()
            table.column("resumesOnTraffic", .boolean).notNull()
            table.column("allowsInternet", .boolean)
            table.column("network", .text)
            table.column("metadata", .text).notNull()
            table.column("environment", .text).notNull()
            table.column("volumes", .text)
        }
        // Without a reference: a creation that is repeated after its sandbox's end must not make another.
        try database.create(table: "hostedCreation") { table in
            table.primaryKey("key", .text)
            table.column("digest", .text).notNull()
            table.column("sandbox", .text).notNull()
            table.column("time", .integer).notNull().indexed()
        }
    }
}
