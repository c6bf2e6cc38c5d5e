import DeploymentCore
import GRDB

extension DeploymentStore {
    /// Events of sandboxes kept per store; the oldest go first, and what was not delivered of them with them.
    public static let maximumSandboxEvents = 20_000
    /// Deliveries kept per store; the oldest go first.
    public static let maximumDeliveries = 100_000
    /// How long events and their deliveries are kept, in days.
    public static let sandboxEventDays = 7
    /// The same in milliseconds.
    public static let sandboxEventLifetime = Int64(sandboxEventDays) * 86_400_000
    /// How many events pass between two looks for old ones.
    static let sandboxEventSweep: Int64 = 100

    /// Writes an event that accompanies no other change.
    public func append(_ event: SandboxEventRecord) throws {
        try write("write an event of sandbox \(event.sandbox)") { try Self.append(event, $0) }
    }

    /// Writes an event, and a delivery for each webhook that wants it, in the transaction of the change itself.
    static func append(_ event: SandboxEventRecord, _ database: Database) throws {
        var event = event
        event.number = nil
        try event.insert(database)
        // In the order of the webhooks' making, and at the event: a later webhook is not told of it.
        try database.execute(
            sql: """
                INSERT INTO webhookDelivery (webhook, event, sandbox, kind, state, attempts, due)
                SELECT id, ?, ?, ?, 'pending', 0, ? FROM webhook
                WHERE isEnabled AND instr(',' || kinds || ',', ?) > 0 ORDER BY createdAt, rowid
                """,
            arguments: [event.id, event.sandbox, event.kind.rawValue, event.time, ",\(event.kind.rawValue),"])
        guard let number = event.number, number % sandboxEventSweep == 0 else { return }
        try removeSandboxEvents(before: event.time - sandboxEventLifetime, database)
    }

    /// Forgets events older than a time in milliseconds since 1970, and what is beyond the maximum of rows.
    public func removeSandboxEvents(before time: Int64) throws {
        try write("forget old events of sandboxes") { try Self.removeSandboxEvents(before: time, $0) }
    }

    private static func removeSandboxEvents(before time: Int64, _ database: Database) throws {
        try database.execute(sql: "DELETE FROM sandboxEvent WHERE time < ?", arguments: [time])
        try database.execute(
            sql: "DELETE FROM sandboxEvent WHERE number <= (SELECT max(number) FROM sandboxEvent) - ?",
            arguments: [maximumSandboxEvents])
        try database.execute(
            sql: "DELETE FROM webhookDelivery WHERE number <= (SELECT max(number) FROM webhookDelivery) - ?",
            arguments: [maximumDeliveries])
    }

    /// An event by its id.
    public func sandboxEvent(_ id: String) throws -> SandboxEventRecord? {
        try read("read event \(id)") { try SandboxEventRecord.filter(Column("id") == id).fetchOne($0) }
    }

    /// Events of one sandbox or of all, of some kinds or of all, in their order or newest first.
    public func sandboxEvents(
        of sandbox: String? = nil, kinds: [SandboxEventRecord.Kind] = [], offset: Int = 0, limit: Int,
        isAscending: Bool = false
    ) throws -> [SandboxEventRecord] {
        try read("read events of sandboxes") { database in
            var request = SandboxEventRecord.all()
            if let sandbox { request = request.filter(Column("sandbox") == sandbox) }
            if !kinds.isEmpty { request = request.filter(kinds.map(\.rawValue).contains(Column("kind"))) }
            let number = Column("number")
            return try request.order(isAscending ? number : number.desc).limit(limit, offset: offset)
                .fetchAll(database)
        }
    }

    /// The events after a number in their order, for those who follow.
    public func sandboxEvents(
        of sandbox: String? = nil, kinds: [SandboxEventRecord.Kind] = [], after number: Int64, limit: Int
    ) throws -> [SandboxEventRecord] {
        try read("follow events of sandboxes") { database in
            var request = SandboxEventRecord.filter(Column("number") > number)
            if let sandbox { request = request.filter(Column("sandbox") == sandbox) }
            if !kinds.isEmpty { request = request.filter(kinds.map(\.rawValue).contains(Column("kind"))) }
            return try request.order(Column("number")).limit(limit).fetchAll(database)
        }
    }

    /// The number of the newest event; 0 when there is none.
    public func lastSandboxEvent() throws -> Int64 {
        try read("read the newest event") {
            try Int64.fetchOne($0, sql: "SELECT max(number) FROM sandboxEvent") ?? 0
        }
    }

    /// Calls `onChange` after each commit that wrote events or webhooks, whoever wrote them, until the observation is
    /// let go. It must be quick and not use the store.
    public func observeSandboxEvents(_ onChange: @escaping @Sendable () -> Void) -> StoreObservation {
        let observation = DatabaseRegionObservation(tracking: Table("sandboxEvent"), Table("webhook"))
        // Beginning fails only when a transaction is open in a database without a pool.
        return StoreObservation(
            observation.start(in: database, onError: { _ in onChange() }, onChange: { _ in onChange() }))
    }
}

/// Ends an observation when it is let go.
public final class StoreObservation: Sendable {
    private let cancellable: AnyDatabaseCancellable

    init(_ cancellable: AnyDatabaseCancellable) { self.cancellable = cancellable }

    /// Ends the observation.
    public func cancel() { cancellable.cancel() }
}
