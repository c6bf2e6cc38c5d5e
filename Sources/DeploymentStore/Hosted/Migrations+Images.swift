import GRDB

extension Migrations {
    /// Templates, their builds, what builds made on the way, and snapshots.
    static func images(_ database: Database) throws {
        try database.create(table: "imageTemplate") { table in
            table.primaryKey("id", .text)
            table.column("isPublic", .boolean).notNull()
            table.column("createdAt", .integer).notNull()
            table.column("updatedAt", .integer).notNull()
        }
        try database.create(table: "imageName") { table in
            table.primaryKey("name", .text)
            table.column("template", .text).notNull().indexed().references("imageTemplate", onDelete: .cascade)
        }
        try database.create(table: "imageBuild") { table in
            table.primaryKey("id", .text)
            table.column("template", .text).notNull().indexed().references("imageTemplate", onDelete: .cascade)
            table.column("status", .text).notNull().check { ["waiting", "building", "ready", "error"].contains($0) }
            table.column("tags", .text).notNull()
            table.column("content", .text)
            table.column("archive", .text).indexed()
            table.column("failure", .text)
            table.column("failedStep", .text)
            table.column("processors", .integer).notNull()
            table.column("memoryMiB", .integer).notNull()
            table.column("createdAt", .integer).notNull()
            table.column("finishedAt", .integer)
        }
        try database.create(table: "imageTag") { table in
            table.column("template", .text).notNull().references("imageTemplate", onDelete: .cascade)
            table.column("tag", .text).notNull()
            table.column("build", .text).notNull().references("imageBuild", onDelete: .cascade)
            table.column("createdAt", .integer).notNull()
            table.primaryKey(["template", "tag"])
        }
        try database.create(table: "imageBuildLog") { table in
            table.autoIncrementedPrimaryKey("id")
            table.column("build", .text).notNull().indexed().references("imageBuild", onDelete: .cascade)
            table.column("time", .integer).notNull()
            table.column("level", .text).notNull()
            table.column("message", .text).notNull()
            table.column("step", .text)
        }
        try database.create(table: "imageLayer") { table in
            table.primaryKey("key", .text)
            table.column("content", .text).notNull()
            table.column("archive", .text).indexed()
            table.column("bytes", .integer).notNull()
            table.column("usedAt", .integer).notNull()
        }
        try database.create(table: "imageSnapshot") { table in
            table.primaryKey("id", .text)
            table.column("name", .text)
            table.column("tag", .text).notNull()
            table.column("sandbox", .text).notNull().indexed()
            table.column("content", .text).notNull()
            table.column("archive", .text).notNull().indexed()
            table.column("createdAt", .integer).notNull()
            table.uniqueKey(["name", "tag"])
        }
        // What sandboxes were made from, without files: it is asked for when their template is gone too.
        try database.create(table: "imageContent") { table in
            table.primaryKey("build", .text)
            table.column("content", .text).notNull()
        }
    }
}
