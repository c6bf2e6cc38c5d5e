import DeploymentCore
import Foundation
import GRDB

extension DeploymentStore {
    /// Events of lifecycles kept per store; the oldest go first.
    public static let maximumLifecycleEvents = 10_000

    /// Puts a deployment to sleep: from here on its replica is nobody's, and a later control plane starts none.
    ///
    /// - Throws: `conflict` when another sandbox has the traffic by now, or the deployment's end has begun.
    public func fallAsleep(_ replica: ReplicaRecord, event: LifecycleRecord) throws {
        try write("put \(replica.deployment) to sleep") { database in
            try database.execute(
                sql: """
                    UPDATE deployment SET asleepSince = ?
                    WHERE name = ? AND activeRevision = ? AND asleepSince IS NULL AND NOT isEnding
                    """,
                arguments: [event.time, replica.deployment, replica.revision])
            let isActive = database.changesCount == 1
            try database.execute(
                sql: "DELETE FROM replica WHERE deployment = ? AND sandbox = ?",
                arguments: [replica.deployment, replica.sandbox])
            guard isActive, database.changesCount == 1 else {
                throw BerthError(.conflict, "sandbox \(replica.sandbox) of \(replica.deployment) lost the traffic")
            }
            try Self.append(event, database)
        }
    }

    /// Keeps what a revision imports, for the standby of one that sleeps when the next control plane begins.
    public func setImports(_ names: [UInt8], of deployment: String, revision: Int) throws {
        try write("keep the imports of \(deployment)") { database in
            try database.execute(
                sql: """
                    INSERT OR REPLACE INTO imports (deployment, revision, names)
                    SELECT name, ?, ? FROM deployment WHERE name = ?
                    """, arguments: [revision, Data(names), deployment])
        }
    }

    /// What a revision imports, one name on each line; nil when nobody knows.
    public func imports(of deployment: String, revision: Int) throws -> [UInt8]? {
        try read("read the imports of \(deployment)") { database in
            try Data.fetchOne(
                database, sql: "SELECT names FROM imports WHERE deployment = ? AND revision = ?",
                arguments: [deployment, revision])
        }.map { Array($0) }
    }

    /// Moves a deployment's end.
    ///
    /// - Throws: `conflict` when its end has begun.
    public func setExpiry(of deployment: String, at time: Int64?, event: LifecycleRecord) throws {
        try write("move the end of \(deployment)") { database in
            try database.execute(
                sql: "UPDATE deployment SET expiresAt = ? WHERE name = ? AND NOT isEnding",
                arguments: [time, deployment])
            guard database.changesCount == 1 else {
                throw BerthError(.conflict, "deployment \(deployment) is being destroyed")
            }
            try Self.append(event, database)
        }
    }

    /// Begins a deployment's end, which is carried on after a crash until `removeDeployment`; again is no error.
    public func beginEnding(of deployment: String, event: LifecycleRecord?) throws {
        try write("begin the end of \(deployment)") { database in
            try database.execute(sql: "UPDATE deployment SET isEnding = 1 WHERE name = ?", arguments: [deployment])
            if let event { try Self.append(event, database) }
        }
    }

    /// Writes what happened to a deployment where it accompanies no other change.
    public func append(_ event: LifecycleRecord) throws {
        try write("write an event of \(event.deployment)") { try Self.append(event, $0) }
    }

    static func append(_ event: LifecycleRecord, _ database: Database) throws {
        var event = event
        try event.insert(database)
        if let id = event.id, id % 100 == 0 {
            try database.execute(
                sql: "DELETE FROM lifecycleEvent WHERE id <= ?", arguments: [id - Int64(maximumLifecycleEvents)])
        }
    }

    /// The newest `limit` events after `id`, oldest first, of one deployment or of all.
    public func lifecycle(of deployment: String?, after id: Int64 = 0, limit: Int) throws -> [LifecycleRecord] {
        try read("read what happened to \(deployment ?? "the deployments")") { database in
            var request = LifecycleRecord.filter(Column("id") > id)
            if let deployment { request = request.filter(Column("deployment") == deployment) }
            return try request.order(Column("id").desc).limit(limit).fetchAll(database).reversed()
        }
    }
}
