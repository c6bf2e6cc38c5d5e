import DeploymentCore
import GRDB

extension DeploymentStore {
    /// The most webhooks of a store.
    public static let maximumWebhooks = 64

    /// All webhooks, oldest first.
    public func webhooks() throws -> [WebhookRecord] {
        try read("read the webhooks") {
            try WebhookRecord.order(Column("createdAt"), Column.rowID).fetchAll($0)
        }
    }

    /// A webhook by its id.
    public func webhook(_ id: String) throws -> WebhookRecord? {
        try read("read webhook \(id)") { try WebhookRecord.fetchOne($0, key: id) }
    }

    /// Writes a new webhook, which is told of later events only.
    ///
    /// - Throws: `quota` when there are `maximumWebhooks`.
    public func add(_ webhook: WebhookRecord) throws {
        try write("write webhook \(webhook.id)") { database in
            guard try WebhookRecord.fetchCount(database) < Self.maximumWebhooks else {
                throw BerthError(
                    .quota, "there are \(Self.maximumWebhooks) webhooks already",
                    suggestion: "delete one that is not needed any more")
            }
            try webhook.insert(database)
        }
    }

    /// Changes a webhook and returns it; what waits for a webhook that is now disabled is never sent.
    ///
    /// - Throws: `not_found`.
    public func updateWebhook(
        _ id: String, _ change: @Sendable (inout WebhookRecord) throws -> Void
    ) throws -> WebhookRecord {
        try write("change webhook \(id)") { database in
            guard var webhook = try WebhookRecord.fetchOne(database, key: id) else { throw Self.noWebhook(id) }
            try change(&webhook)
            webhook.id = id
            try webhook.update(database)
            if !webhook.isEnabled {
                try database.execute(
                    sql: "UPDATE webhookDelivery SET state = 'cancelled' WHERE webhook = ? AND state = 'pending'",
                    arguments: [id])
            }
            return webhook
        }
    }

    /// Forgets a webhook with its deliveries.
    ///
    /// - Throws: `not_found`.
    public func removeWebhook(_ id: String) throws {
        try write("delete webhook \(id)") { database in
            guard try WebhookRecord.deleteOne(database, key: id) else { throw Self.noWebhook(id) }
        }
    }

    static func noWebhook(_ id: String) -> BerthError { BerthError(.notFound, "there is no webhook \(id)") }
}
