import DeploymentCore
import GRDB

extension DeploymentStore {
    /// Writes down that an effect is about to happen; returns the line's number.
    public func intend(_ stage: RolloutStage, of rollout: String, key: String) throws -> Int64 {
        try write("journal stage \(stage.rawValue)") { database in
            var record = JournalRecord(rollout: rollout, stage: stage, key: key)
            try record.insert(database)
            return record.id ?? 0
        }
    }

    /// Writes down how an effect ended.
    public func settle(_ line: Int64, as state: JournalRecord.State) throws {
        try write("journal line \(line)") {
            try $0.execute(sql: "UPDATE journal SET state = ? WHERE id = ?", arguments: [state.rawValue, line])
        }
    }

    /// The effects of a rollout in their order.
    public func journal(of rollout: String) throws -> [JournalRecord] {
        try read("read the journal of \(rollout)") {
            try JournalRecord.filter(Column("rollout") == rollout).order(Column("id")).fetchAll($0)
        }
    }

    /// Writes an event that accompanies no other change.
    public func append(_ event: EventRecord) throws {
        try write("write an event") { try Self.append(event, $0) }
    }

    static func append(_ event: EventRecord, _ database: Database) throws {
        var event = event
        try event.insert(database)
        if let id = event.id, id % 1_000 == 0 {
            try database.execute(sql: "DELETE FROM event WHERE id <= ?", arguments: [id - Int64(maximumEvents)])
        }
    }

    /// The events of a rollout after `id`, oldest first, at most `limit`.
    public func events(of rollout: String, after id: Int64, limit: Int = 256) throws -> [EventRecord] {
        try read("read events of \(rollout)") {
            try EventRecord.filter(Column("rollout") == rollout && Column("id") > id)
                .order(Column("id")).limit(limit).fetchAll($0)
        }
    }
}
