import DeploymentCore
import GRDB

extension DeploymentStore {
    /// The deployment; nil when there is none of that name.
    public func deployment(_ name: String) throws -> DeploymentRecord? {
        try read("read deployment \(name)") { try DeploymentRecord.fetchOne($0, key: name) }
    }

    /// All deployments by name, without those that tests made.
    public func deployments() throws -> [DeploymentRecord] {
        try read("list deployments") {
            try DeploymentRecord.filter(Column("isEphemeral") == false).order(Column("name")).fetchAll($0)
        }
    }

    /// Forgets the tests that ended, but for the `keeping` newest; returns the names of the forgotten.
    @discardableResult public func forgetTests(keeping: Int) throws -> [String] {
        try write("forget old tests") { database in
            let ended = try DeploymentRecord.filter(Column("isEphemeral") == true)
                .filter(sql: "name NOT IN (SELECT deployment FROM rollout WHERE status = 'running')")
                .order(Column("createdAt").desc).fetchAll(database)
            for deployment in ended.dropFirst(keeping) { try deployment.delete(database) }
            return ended.dropFirst(keeping).map(\.name)
        }
    }

    /// Removes a deployment and everything that hangs on it.
    public func removeDeployment(_ name: String, event: LifecycleRecord? = nil) throws {
        try write("remove deployment \(name)") { database in
            guard try DeploymentRecord.deleteOne(database, key: name), let event else { return }
            try Self.append(event, database)
        }
    }

    /// The revisions of a deployment, newest first.
    public func revisions(of deployment: String) throws -> [RevisionRecord] {
        try read("list revisions of \(deployment)") {
            try RevisionRecord.filter(Column("deployment") == deployment).order(Column("number").desc).fetchAll($0)
        }
    }

    /// Forgets the oldest revisions that do not serve, until `keeping` of each deployment are left; returns the rest.
    public func pruneRevisions(keeping: Int) throws -> [RevisionRecord] {
        try write("forget old revisions") { database in
            for deployment in try DeploymentRecord.fetchAll(database) {
                let idle = try RevisionRecord.filter(Column("deployment") == deployment.name)
                    .filter(["superseded", "failed"].contains(Column("status")))
                    .order(Column("number").desc).fetchAll(database)
                for revision in idle.dropFirst(keeping) { try revision.delete(database) }
            }
            return try RevisionRecord.fetchAll(database)
        }
    }

    /// One revision; nil when it does not exist.
    public func revision(_ number: Int, of deployment: String) throws -> RevisionRecord? {
        try read("read revision \(number) of \(deployment)") {
            try RevisionRecord.fetchOne($0, key: ["deployment": deployment, "number": number])
        }
    }

    /// Writes down what the early stages found: the revision is complete from here on.
    public func completeRevision(_ revision: RevisionRecord) throws {
        try write("complete revision \(revision.number) of \(revision.deployment)") { try revision.update($0) }
    }

    /// The replica of a deployment; nil when nothing serves it.
    public func replica(of deployment: String) throws -> ReplicaRecord? {
        try read("read the replica of \(deployment)") {
            try ReplicaRecord.filter(Column("deployment") == deployment).fetchOne($0)
        }
    }

    /// Makes `replica` the only one of its deployment, which is awake with it.
    ///
    /// - Throws: `conflict` when another revision has the traffic by now, or the deployment's end has begun.
    public func replaceReplica(with replica: ReplicaRecord, event: LifecycleRecord? = nil) throws {
        try write("record the replica of \(replica.deployment)") { database in
            let deployment = try DeploymentRecord.fetchOne(database, key: replica.deployment)
            guard let deployment, !deployment.isEnding, deployment.activeRevision == replica.revision else {
                throw BerthError(
                    .conflict, "revision \(replica.revision) of \(replica.deployment) is not active any more")
            }
            try Self.replace(replica, database)
            if deployment.asleepSince != nil {
                try database.execute(
                    sql: "UPDATE deployment SET asleepSince = NULL WHERE name = ?", arguments: [deployment.name])
            }
            if let event { try Self.append(event, database) }
        }
    }

    static func replace(_ replica: ReplicaRecord, _ database: Database) throws {
        try ReplicaRecord.filter(Column("deployment") == replica.deployment).deleteAll(database)
        try replica.insert(database)
    }
}
