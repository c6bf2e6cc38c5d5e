import DeploymentCore
import GRDB

extension DeploymentStore {
    /// All sandboxes of clients, however they are.
    public func hostedSandboxes() throws -> [HostedSandboxRecord] {
        try read("list the hosted sandboxes") { try HostedSandboxRecord.order(Column("createdAt")).fetchAll($0) }
    }

    /// The folders and files of the host that sandboxes of clients show, running or paused.
    public func hostedMounts() throws -> Set<String> { Set(try hostedSandboxes().flatMap(\.mounts)) }

    /// One sandbox of a client; nil when there is none.
    public func hostedSandbox(_ id: String) throws -> HostedSandboxRecord? {
        try read("read hosted sandbox \(id)") { try HostedSandboxRecord.fetchOne($0, key: id) }
    }

    /// Writes how a sandbox is, whether it was known or not, with the event that tells it and the creation it answers.
    public func write(
        _ record: HostedSandboxRecord, event: SandboxEventRecord? = nil, creation: HostedCreationRecord? = nil
    ) throws {
        try write("record hosted sandbox \(record.id)") { database in
            try record.upsert(database)
            if let event { try Self.append(event, database) }
            if let creation { try creation.upsert(database) }
        }
    }

    /// Forgets a sandbox of which nothing is left; again is no error.
    public func removeHostedSandbox(_ id: String, event: SandboxEventRecord? = nil) throws {
        try write("forget hosted sandbox \(id)") { database in
            guard try HostedSandboxRecord.deleteOne(database, key: id), let event else { return }
            try Self.append(event, database)
        }
    }

    /// The creation that had a key and was not before `time`; older ones are forgotten.
    public func hostedCreation(_ key: String, notBefore time: Int64) throws -> HostedCreationRecord? {
        try write("look for an earlier creation") { database in
            try HostedCreationRecord.filter(Column("time") < time).deleteAll(database)
            return try HostedCreationRecord.fetchOne(database, key: key)
        }
    }
}
