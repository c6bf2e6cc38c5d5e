import DeploymentCore
import GRDB

extension DeploymentStore {
    /// Begins a rollout of a new revision: the deployment (if it is new), the revision and the rollout, or nothing.
    ///
    /// - Parameter makeRevision: makes the revision from the number that it gets.
    /// - Throws: `conflict` when another rollout of the deployment runs.
    public func beginRollout(
        _ rollout: RolloutRecord, makeRevision: @Sendable (_ number: Int) -> RevisionRecord
    ) throws -> (RolloutRecord, RevisionRecord) {
        try write("begin a rollout of \(rollout.deployment)") { database in
            try Self.refuseSecondRollout(rollout, database)
            let deployment = DeploymentRecord(
                name: rollout.deployment, createdAt: rollout.startedAt, isEphemeral: rollout.kind == .test)
            try deployment.insert(database, onConflict: .ignore)
            let last = try RevisionRecord.filter(Column("deployment") == rollout.deployment)
                .select(max(Column("number")), as: Int.self).fetchOne(database)
            let revision = makeRevision((last ?? 0) + 1)
            var numbered = rollout
            numbered.revision = revision.number
            try revision.insert(database)
            try numbered.insert(database)
            return (numbered, revision)
        }
    }

    /// Begins a rollout of a revision that exists.
    ///
    /// - Throws: `conflict` when another rollout of the deployment runs.
    public func beginRollout(_ rollout: RolloutRecord) throws {
        try write("begin a rollout of \(rollout.deployment)") { database in
            try Self.refuseSecondRollout(rollout, database)
            try rollout.insert(database)
        }
    }

    private static func refuseSecondRollout(_ rollout: RolloutRecord, _ database: Database) throws {
        let running = try RolloutRecord.filter(
            Column("deployment") == rollout.deployment && Column("status") == "running"
        ).fetchOne(database)
        guard let running else { return }
        throw BerthError(
            .conflict,
            "deployment \(rollout.deployment) is already being rolled out (\(running.id), stage \(running.stage.rawValue))",
            suggestion: "wait for it with `berth status \(rollout.deployment) --wait`, or end it with "
                + "`berth cancel \(rollout.deployment)`")
    }

    /// One rollout; nil when it does not exist.
    public func rollout(_ id: String) throws -> RolloutRecord? {
        try read("read rollout \(id)") { try RolloutRecord.fetchOne($0, key: id) }
    }

    /// The rollouts that have not ended, of one deployment or of all.
    public func runningRollouts(of deployment: String? = nil) throws -> [RolloutRecord] {
        try read("list running rollouts") { database in
            var request = RolloutRecord.filter(Column("status") == "running")
            if let deployment { request = request.filter(Column("deployment") == deployment) }
            return try request.order(Column("startedAt")).fetchAll(database)
        }
    }

    /// The rollouts of a deployment, newest first.
    public func rollouts(of deployment: String, limit: Int = 100) throws -> [RolloutRecord] {
        try read("list rollouts of \(deployment)") {
            try RolloutRecord.filter(Column("deployment") == deployment)
                .order(Column("startedAt").desc, Column("id").desc).limit(limit).fetchAll($0)
        }
    }

    /// Enters a stage, with the event that tells it.
    public func enter(_ stage: RolloutStage, of rollout: String, event: EventRecord) throws {
        try write("enter stage \(stage.rawValue)") { database in
            try database.execute(
                sql: "UPDATE rollout SET stage = ? WHERE id = ?", arguments: [stage.rawValue, rollout])
            try Self.append(event, database)
        }
    }

    /// Moves the traffic in one transaction: the old revision is superseded, this one active, its replica the only
    /// one, the rollout promoted. After a crash either all of it holds or none.
    ///
    /// - Parameter expiresAt: when the deployment is destroyed from now on; nil is never.
    /// - Throws: `conflict` when the deployment's end has begun.
    public func promote(
        _ rollout: RolloutRecord, replica: ReplicaRecord, expiresAt: Int64? = nil, event: EventRecord
    ) throws {
        try write("promote revision \(rollout.revision) of \(rollout.deployment)") { database in
            try database.execute(
                sql: "UPDATE revision SET status = 'superseded' WHERE deployment = ? AND status = 'active'",
                arguments: [rollout.deployment])
            try database.execute(
                sql: "UPDATE revision SET status = 'active' WHERE deployment = ? AND number = ?",
                arguments: [rollout.deployment, rollout.revision])
            guard database.changesCount == 1 else {
                throw BerthError(.notFound, "revision \(rollout.revision) of \(rollout.deployment) does not exist")
            }
            try database.execute(
                sql: """
                    UPDATE deployment SET activeRevision = ?, asleepSince = NULL, expiresAt = ?
                    WHERE name = ? AND NOT isEnding
                    """,
                arguments: [rollout.revision, expiresAt, rollout.deployment])
            guard database.changesCount == 1 else {
                throw BerthError(.conflict, "deployment \(rollout.deployment) is being destroyed")
            }
            try Self.replace(replica, database)
            try rollout.update(database)
            try Self.append(event, database)
        }
    }

    /// Ends a rollout that did not move traffic: its revision fails unless another rollout had promoted it before.
    public func finish(_ rollout: RolloutRecord, event: EventRecord) throws {
        try write("finish rollout \(rollout.id)") { database in
            try rollout.update(database)
            try database.execute(
                sql: """
                    UPDATE revision SET status = 'failed'
                    WHERE deployment = ? AND number = ? AND status = 'pending'
                    """,
                arguments: [rollout.deployment, rollout.revision])
            try Self.append(event, database)
        }
    }
}
