import DeploymentCore
import GRDB

/// Which attempts of a webhook are asked for.
public struct DeliveryQuery: Sendable {
    /// Deliveries behind this number, in the order asked for; nil from the first.
    public var cursor: Int64?
    /// The most deliveries.
    public var limit: Int
    /// Oldest first.
    public var isAscending: Bool
    /// Attempts that began at this time or later, in milliseconds since 1970.
    public var start: Int64?
    /// Attempts that began before this time.
    public var end: Int64?
    /// Only attempts that succeeded, or failed.
    public var isSuccess: Bool?
    /// The kinds of events; empty for all.
    public var kinds: [SandboxEventRecord.Kind]

    /// Creates a query.
    public init(
        cursor: Int64? = nil, limit: Int, isAscending: Bool = false, start: Int64? = nil, end: Int64? = nil,
        isSuccess: Bool? = nil, kinds: [SandboxEventRecord.Kind] = []
    ) {
        self.cursor = cursor
        self.limit = limit
        self.isAscending = isAscending
        self.start = start
        self.end = end
        self.isSuccess = isSuccess
        self.kinds = kinds
    }

    /// The condition on attempts, each clause behind an AND.
    fileprivate var condition: SQL {
        var condition: SQL = ""
        if let start { condition += " AND startedAt >= \(start)" }
        if let end { condition += " AND startedAt < \(end)" }
        if let isSuccess { condition += " AND isSuccess = \(isSuccess)" }
        return condition
    }
}

/// One delivery with its attempts and its event.
public struct DeliveryHistory: Sendable, Equatable {
    /// The delivery.
    public var delivery: DeliveryRecord
    /// Its event.
    public var event: SandboxEventRecord
    /// The attempts that were asked for, oldest first.
    public var attempts: [AttemptRecord]
}

/// Attempts of a webhook, counted over a time.
public struct DeliveryCount: Codable, Sendable, Equatable, FetchableRecord {
    /// The beginning of the hour, in milliseconds since 1970.
    public var hour: Int64
    /// Attempts.
    public var total: Int64
    /// Attempts that failed.
    public var failed: Int64
    /// The shortest, in milliseconds.
    public var minimum: Int64
    /// The sum of all, in milliseconds.
    public var sum: Int64
    /// The longest, in milliseconds.
    public var maximum: Int64

    /// Creates a count.
    public init(hour: Int64, total: Int64 = 0, failed: Int64 = 0, minimum: Int64, sum: Int64 = 0, maximum: Int64 = 0) {
        self.hour = hour
        self.total = total
        self.failed = failed
        self.minimum = minimum
        self.sum = sum
        self.maximum = maximum
    }
}

extension DeploymentStore {
    /// The deliveries of a webhook with such attempts.
    ///
    /// - Throws: `not_found` for the webhook.
    public func deliveries(of webhook: String, _ query: DeliveryQuery) throws -> [DeliveryHistory] {
        try read("read the deliveries of webhook \(webhook)") { database in
            guard try WebhookRecord.exists(database, key: webhook) else { throw Self.noWebhook(webhook) }
            var sql: SQL = "SELECT * FROM webhookDelivery WHERE webhook = \(webhook)"
            if let cursor = query.cursor {
                sql += query.isAscending ? " AND number > \(cursor)" : " AND number < \(cursor)"
            }
            if !query.kinds.isEmpty { sql += " AND kind IN \(query.kinds.map(\.rawValue))" }
            sql += " AND EXISTS (SELECT 1 FROM webhookAttempt WHERE delivery = number\(query.condition))"
            sql += query.isAscending ? " ORDER BY number" : " ORDER BY number DESC"
            sql += " LIMIT \(query.limit)"
            return try SQLRequest<DeliveryRecord>(literal: sql).fetchAll(database).compactMap { delivery in
                let event = try SandboxEventRecord.filter(Column("id") == delivery.event).fetchOne(database)
                guard let event else { return nil }
                let attempts: SQL = """
                    SELECT * FROM webhookAttempt WHERE delivery = \(delivery.number)\(query.condition) ORDER BY rowid
                    """
                return DeliveryHistory(
                    delivery: delivery, event: event,
                    attempts: try SQLRequest<AttemptRecord>(literal: attempts).fetchAll(database))
            }
        }
    }

    /// The attempts of a webhook in `[start, end)`, counted by hour, and its deliveries by where they stand.
    ///
    /// - Throws: `not_found` for the webhook.
    public func deliveryCounts(
        of webhook: String, start: Int64, end: Int64
    ) throws -> (hours: [DeliveryCount], states: [DeliveryRecord.State: Int]) {
        try read("count the deliveries of webhook \(webhook)") { database in
            guard try WebhookRecord.exists(database, key: webhook) else { throw Self.noWebhook(webhook) }
            let hours = try DeliveryCount.fetchAll(
                database,
                sql: """
                    SELECT startedAt / 3600000 * 3600000 AS hour, count(*) AS total, sum(NOT isSuccess) AS failed,
                        min(duration) AS minimum, sum(duration) AS sum, max(duration) AS maximum
                    FROM webhookAttempt WHERE webhook = ? AND startedAt >= ? AND startedAt < ?
                    GROUP BY hour ORDER BY hour
                    """,
                arguments: [webhook, start, end])
            let rows = try Row.fetchAll(
                database, sql: "SELECT state, count(*) AS count FROM webhookDelivery WHERE webhook = ? GROUP BY state",
                arguments: [webhook])
            var states: [DeliveryRecord.State: Int] = [:]
            for row in rows {
                if let state = DeliveryRecord.State(rawValue: row["state"]) { states[state] = row["count"] }
            }
            return (hours, states)
        }
    }
}
