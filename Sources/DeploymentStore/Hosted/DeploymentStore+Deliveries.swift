import DeploymentCore
import GRDB

/// How an attempt ended, and what becomes of its delivery.
public struct DeliveryOutcome: Sendable, Equatable {
    /// The attempt.
    public var attempt: AttemptRecord
    /// Where the delivery stands now.
    public var state: DeliveryRecord.State
    /// Its failed attempts so far.
    public var attempts: Int
    /// When it is tried next, in milliseconds since 1970.
    public var due: Int64

    /// Creates an outcome.
    public init(attempt: AttemptRecord, state: DeliveryRecord.State, attempts: Int, due: Int64) {
        self.attempt = attempt
        self.state = state
        self.attempts = attempts
        self.due = due
    }
}

extension DeploymentStore {
    /// Attempts kept of one delivery, which can be asked for any number of times; the oldest go first.
    public static let maximumKeptAttempts = 30

    /// What waits for a webhook, earliest first, at most `limit`, and nothing of some sandboxes.
    public func pendingDeliveries(
        of webhook: String, without sandboxes: [String] = [], limit: Int
    ) throws -> [DeliveryRecord] {
        try read("read what waits for webhook \(webhook)") {
            try DeliveryRecord.filter(Column("webhook") == webhook && Column("state") == "pending")
                .filter(!sandboxes.contains(Column("sandbox")))
                .order(Column("due"), Column("number")).limit(limit).fetchAll($0)
        }
    }

    /// Writes how attempts ended, all or none. One whose webhook is gone leaves no trace; one whose webhook was disabled
    /// meanwhile is only remembered.
    public func record(_ outcomes: [DeliveryOutcome]) throws {
        try write("write \(outcomes.count) outcomes of deliveries") { database in
            for outcome in outcomes {
                let attempt = outcome.attempt
                guard let delivery = try DeliveryRecord.fetchOne(database, key: attempt.delivery) else { continue }
                try attempt.insert(database)
                try database.execute(
                    sql: """
                        DELETE FROM webhookAttempt WHERE delivery = ? AND id NOT IN
                            (SELECT id FROM webhookAttempt WHERE delivery = ? ORDER BY rowid DESC LIMIT ?)
                        """,
                    arguments: [attempt.delivery, attempt.delivery, Self.maximumKeptAttempts])
                guard delivery.state == .pending else { continue }
                try database.execute(
                    sql: "UPDATE webhookDelivery SET state = ?, attempts = ?, due = ? WHERE number = ?",
                    arguments: [outcome.state.rawValue, outcome.attempts, outcome.due, attempt.delivery])
            }
        }
    }

    /// Makes a delivery pending once more, as if it had never been tried, whether or not the webhook wants the kind of
    /// event by now; one that was never made is made.
    ///
    /// - Throws: `not_found` for the webhook or the event, `conflict` when the webhook is disabled.
    public func redeliver(_ event: String, to webhook: String, at time: Int64) throws -> DeliveryRecord {
        try write("repeat event \(event) to webhook \(webhook)") { database in
            guard let receiver = try WebhookRecord.fetchOne(database, key: webhook) else {
                throw Self.noWebhook(webhook)
            }
            guard let source = try SandboxEventRecord.filter(Column("id") == event).fetchOne(database) else {
                throw BerthError(.notFound, "there is no event \(event), or it is not kept any more")
            }
            guard receiver.isEnabled else {
                throw BerthError(.conflict, "webhook \(webhook) is disabled", suggestion: "enable it first")
            }
            var delivery =
                try DeliveryRecord.filter(Column("webhook") == webhook && Column("event") == event)
                .fetchOne(database)
                ?? DeliveryRecord(
                    webhook: webhook, event: event, sandbox: source.sandbox, kind: source.kind, due: time)
            delivery.state = .pending
            delivery.attempts = 0
            delivery.due = time
            try delivery.save(database)
            return delivery
        }
    }
}
