import GRDB

extension Migrations {
    static func sandboxEvents(_ database: Database) throws {
        // Without a reference: what happened to a sandbox can be read when it is gone.
        try database.create(table: "sandboxEvent") { table in
            table.autoIncrementedPrimaryKey("number")
            table.column("id", .text).notNull().unique()
            table.column("sandbox", .text).notNull().indexed()
            table.column("kind", .text).notNull()
                .check { ["created", "updated", "paused", "resumed", "killed", "checkpointed"].contains($0) }
            table.column("execution", .text).notNull()
            table.column("template", .text).notNull()
            table.column("build", .text).notNull()
            table.column("data", .text).notNull()
            table.column("time", .integer).notNull().indexed()
        }
        try database.create(table: "webhook") { table in
            table.primaryKey("id", .text)
            table.column("name", .text).notNull()
            table.column("url", .text).notNull()
            table.column("isEnabled", .boolean).notNull()
            table.column("kinds", .text).notNull()
            table.column("secret", .text).notNull()
            table.column("createdAt", .integer).notNull()
        }
        try database.create(table: "webhookDelivery") { table in
            table.autoIncrementedPrimaryKey("number")
            table.column("webhook", .text).notNull().references("webhook", onDelete: .cascade)
            table.column("event", .text).notNull().references("sandboxEvent", column: "id", onDelete: .cascade)
                .indexed()
            table.column("sandbox", .text).notNull()
            table.column("kind", .text).notNull()
            table.column("state", .text).notNull()
                .check { ["pending", "delivered", "dead", "cancelled"].contains($0) }
            table.column("attempts", .integer).notNull()
            table.column("due", .integer).notNull()
            table.uniqueKey(["webhook", "event"])
        }
        try database.create(
            index: "dueDelivery", on: "webhookDelivery", columns: ["webhook", "due", "number"],
            condition: Column("state") == "pending")
        try database.create(table: "webhookAttempt") { table in
            table.primaryKey("id", .text)
            table.column("delivery", .integer).notNull().references("webhookDelivery", onDelete: .cascade).indexed()
            table.column("webhook", .text).notNull()
            table.column("url", .text).notNull()
            table.column("startedAt", .integer).notNull()
            table.column("duration", .integer).notNull()
            table.column("isSuccess", .boolean).notNull()
            table.column("status", .integer)
            table.column("responseHeaders", .text)
            table.column("responseBody", .text)
            table.column("failure", .text)
            table.column("message", .text)
        }
        try database.create(index: "attemptTime", on: "webhookAttempt", columns: ["webhook", "startedAt"])
    }
}
