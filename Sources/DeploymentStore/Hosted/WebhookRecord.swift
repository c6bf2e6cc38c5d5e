import DeploymentCore
import GRDB

/// Somebody who wants to be told of events.
public struct WebhookRecord: Codable, Sendable, Equatable {
    /// The id, a UUID in lower case.
    public var id: String
    /// What people call it.
    public var name: String
    /// Where events are sent.
    public var url: String
    /// Whether anything is sent.
    public var isEnabled: Bool
    /// The kinds of events that are wanted, in the order they were asked for.
    public var kinds: [SandboxEventRecord.Kind]
    /// What deliveries are signed with; never shown.
    public var secret: String
    /// When it was made, in milliseconds since 1970.
    public var createdAt: Int64

    /// Creates a record.
    public init(
        id: String, name: String, url: String, isEnabled: Bool = true, kinds: [SandboxEventRecord.Kind],
        secret: String, createdAt: Int64
    ) {
        self.id = id
        self.name = name
        self.url = url
        self.isEnabled = isEnabled
        self.kinds = kinds
        self.secret = secret
        self.createdAt = createdAt
    }
}

extension WebhookRecord: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The webhook without its secret.
    public var description: String { "webhook \(id) (\(name)) to \(url)" }
    /// The same: the secret must not get into a log by any way of printing.
    public var debugDescription: String { description }
    /// The same.
    public var customMirror: Mirror { Mirror(self, children: ["id": id, "name": name, "url": url]) }
}

extension WebhookRecord: FetchableRecord, PersistableRecord {
    /// The table.
    public static var databaseTableName: String { "webhook" }

    /// Reads a row.
    public init(row: Row) {
        let kinds: String = row["kinds"]
        self.init(
            id: row["id"], name: row["name"], url: row["url"], isEnabled: row["isEnabled"],
            kinds: kinds.split(separator: ",").compactMap { SandboxEventRecord.Kind(rawValue: String($0)) },
            secret: row["secret"], createdAt: row["createdAt"])
    }

    /// Writes a row; the kinds as one text, which the query that makes deliveries searches.
    public func encode(to container: inout PersistenceContainer) {
        container["id"] = id
        container["name"] = name
        container["url"] = url
        container["isEnabled"] = isEnabled
        container["kinds"] = kinds.map(\.rawValue).joined(separator: ",")
        container["secret"] = secret
        container["createdAt"] = createdAt
    }
}
