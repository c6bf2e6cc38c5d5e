import DeploymentCore
import GRDB

/// A volume: a folder that sandboxes of clients write to, and that outlives them.
public struct VolumeRecord: Codable, Sendable, Equatable, FetchableRecord, PersistableRecord {
    /// The table.
    public static let databaseTableName = "hostedVolume"
    /// The id; also the folder's name.
    public var id: String
    /// The name that sandboxes mount it by, unique.
    public var name: String
    /// When it was made, in milliseconds since 1970.
    public var createdAt: Int64

    /// Creates a record.
    public init(id: String, name: String, createdAt: Int64) {
        self.id = id
        self.name = name
        self.createdAt = createdAt
    }
}

extension Migrations {
    static func volumes(_ database: Database) throws {
        try database.create(table: "hostedVolume") { table in
            table.primaryKey("id", .text)
            table.column("name", .text).notNull().unique()
            table.column("createdAt", .integer).notNull()
        }
    }
}

extension DeploymentStore {
    /// All volumes, oldest first.
    public func volumes() throws -> [VolumeRecord] {
        try read("list the volumes") { try VolumeRecord.order(Column("createdAt"), Column("id")).fetchAll($0) }
    }

    /// One volume; nil when there is none.
    public func volume(_ id: String) throws -> VolumeRecord? {
        try read("read volume \(id)") { try VolumeRecord.fetchOne($0, key: id) }
    }

    /// The volume of a name; nil when there is none.
    public func volume(named name: String) throws -> VolumeRecord? {
        try read("look for volume \(name)") { try VolumeRecord.filter(Column("name") == name).fetchOne($0) }
    }

    /// Notes a new volume.
    ///
    /// - Throws: `conflict` when another one has the name.
    public func add(_ volume: VolumeRecord) throws {
        try write("note volume \(volume.name)") { database in
            guard try VolumeRecord.filter(Column("name") == volume.name).isEmpty(database) else {
                throw BerthError(.conflict, "Volume with name '\(volume.name)' already exists")
            }
            try volume.insert(database)
        }
    }

    /// Forgets a volume that no sandbox mounts; false when there is none of that id.
    ///
    /// - Throws: `conflict`, naming a sandbox that mounts it, running, paused or about to be.
    public func removeVolume(_ id: String) throws -> Bool {
        try write("forget volume \(id)") { database in
            guard let volume = try VolumeRecord.fetchOne(database, key: id) else { return false }
            let mounting = try HostedSandboxRecord.filter(Column("volumes") != nil).fetchAll(database)
            if let sandbox = mounting.first(where: { $0.mounts(volume.name) }) {
                throw BerthError(
                    .conflict, "volume '\(volume.name)' is mounted by sandbox \(sandbox.id)",
                    suggestion: "end that sandbox first")
            }
            return try volume.delete(database)
        }
    }
}

extension HostedSandboxRecord {
    fileprivate func mounts(_ volume: String) -> Bool {
        guard let volumes, let json = try? JSONValue(parsing: Array(volumes.utf8)) else { return false }
        return json.array?.contains { $0["name"]?.string == volume } ?? false
    }
}
