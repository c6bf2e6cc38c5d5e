import DeploymentCore
import GRDB

extension DeploymentStore {
    /// Images remembered beyond their deletion; the oldest go first.
    public static let maximumContents = 10_000

    /// Notes a snapshot; an earlier one of the same name and tag gives them up, and is returned as forgotten.
    ///
    /// - Throws: `conflict` when a template has the name.
    public func add(_ snapshot: SnapshotRecord) throws -> SnapshotRecord? {
        try write("note the snapshot of \(snapshot.sandbox)") { database in
            var replaced: SnapshotRecord?
            if let name = snapshot.name {
                guard try TemplateNameRecord.filter(key: name).isEmpty(database) else {
                    throw BerthError(.conflict, "a template has the name \(name)")
                }
                replaced = try SnapshotRecord.filter(Column("name") == name && Column("tag") == snapshot.tag)
                    .fetchOne(database)
                try replaced?.delete(database)
            }
            try snapshot.insert(database)
            try Self.remember(snapshot.content, of: snapshot.id, database)
            return replaced
        }
    }

    /// A snapshot by id, or by name and tag; nil when there is none.
    public func snapshot(_ reference: String, tag: String) throws -> SnapshotRecord? {
        try read("read snapshot \(reference)") { database in
            try SnapshotRecord.filter(
                (Column("name") == reference && Column("tag") == tag) || Column("id") == reference
            ).fetchOne(database)
        }
    }

    /// Snapshots, newest first: `limit` of them after the one that `place` names.
    public func snapshots(
        sandbox: String?, name: String?, after place: (time: Int64, id: String)?, limit: Int
    ) throws -> [SnapshotRecord] {
        let (time, id) = place ?? (.max, "")
        return try read("list snapshots") { database in
            var request = SnapshotRecord.order(Column("createdAt").desc, Column("id"))
            if let sandbox { request = request.filter(Column("sandbox") == sandbox) }
            if let name { request = request.filter(Column("name") == name) }
            return try request.filter(
                Column("createdAt") < time || (Column("createdAt") == time && Column("id") > id)
            ).limit(limit).fetchAll(database)
        }
    }

    /// Forgets a snapshot; false when there is none of that id.
    public func deleteSnapshot(_ id: String) throws -> Bool {
        try write("delete snapshot \(id)") { try SnapshotRecord.deleteOne($0, key: id) }
    }

    /// What an earlier build made on the way; it counts as used now.
    public func layer(_ key: String, time: Int64) throws -> ImageLayerRecord? {
        try write("read layer \(key)") { database in
            guard var layer = try ImageLayerRecord.fetchOne(database, key: key) else { return nil }
            layer.usedAt = time
            try layer.update(database)
            return layer
        }
    }

    /// Keeps what a build made on the way, in the place of what had the same key.
    public func keep(_ layer: ImageLayerRecord) throws {
        try write("keep layer \(layer.key)") { try layer.save($0) }
    }

    /// Forgets the layers that were not used for the longest, until `count` and `bytes` hold; returns them.
    public func pruneLayers(count: Int, bytes: Int64) throws -> [ImageLayerRecord] {
        try write("forget old layers") { database in
            var forgotten: [ImageLayerRecord] = []
            var (left, size) = (0, Int64(0))
            for layer in try ImageLayerRecord.order(Column("usedAt").desc, Column("key")).fetchAll(database) {
                left += 1
                size += layer.bytes
                guard left > count || size > bytes else { continue }
                try layer.delete(database)
                forgotten.append(layer)
            }
            return forgotten
        }
    }

    /// Forgets a layer.
    public func forget(layer key: String) throws {
        _ = try write("forget layer \(key)") { try ImageLayerRecord.deleteOne($0, key: key) }
    }

    /// The image of a build or snapshot, also when it was deleted since; nil when there never was one.
    public func imageContent(of build: String) throws -> String? {
        try read("read the image of \(build)") { database in
            try String.fetchOne(
                database, sql: "SELECT content FROM imageContent WHERE build = ?", arguments: [build])
        }
    }

    static func remember(_ content: String, of build: String, _ database: Database) throws {
        try database.execute(
            sql: "INSERT OR REPLACE INTO imageContent (build, content) VALUES (?, ?)", arguments: [build, content])
        let newest = database.lastInsertedRowID
        if newest % 100 == 0 {
            try database.execute(
                sql: "DELETE FROM imageContent WHERE rowid <= ?", arguments: [newest - Int64(maximumContents)])
        }
    }

    /// The digests of all files that something refers to.
    public func archives() throws -> Set<String> {
        try read("list the archives of images") { database in
            try Set(
                String.fetchAll(
                    database,
                    sql: """
                        SELECT archive FROM imageBuild WHERE archive IS NOT NULL
                        UNION SELECT archive FROM imageLayer WHERE archive IS NOT NULL
                        UNION SELECT archive FROM imageSnapshot
                        UNION SELECT archive FROM hostedSandbox WHERE archive IS NOT NULL
                        """))
        }
    }
}
