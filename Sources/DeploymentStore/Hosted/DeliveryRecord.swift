import DeploymentCore
import GRDB

/// That one webhook is to be told of one event.
public struct DeliveryRecord: Codable, Sendable, Equatable {
    /// The place in the order of all deliveries; nil until it is stored.
    public var number: Int64?
    /// The webhook's id.
    public var webhook: String
    /// The event's id.
    public var event: String
    /// The event's sandbox.
    public var sandbox: String
    /// The event's kind.
    public var kind: SandboxEventRecord.Kind
    /// Where it stands.
    public var state: State
    /// Failed attempts since it was made, or asked for again.
    public var attempts: Int
    /// When it is tried next, in milliseconds since 1970.
    public var due: Int64

    /// Where a delivery stands.
    public enum State: String, Codable, Sendable, CaseIterable {
        /// It is to be tried.
        case pending
        /// The receiver took it.
        case delivered
        /// Every attempt failed; it is tried again only when somebody asks for it.
        case dead
        /// The webhook was disabled before it was taken.
        case cancelled
    }

    /// Creates a record.
    public init(
        number: Int64? = nil, webhook: String, event: String, sandbox: String, kind: SandboxEventRecord.Kind,
        state: State = .pending, attempts: Int = 0, due: Int64
    ) {
        self.number = number
        self.webhook = webhook
        self.event = event
        self.sandbox = sandbox
        self.kind = kind
        self.state = state
        self.attempts = attempts
        self.due = due
    }
}

extension DeliveryRecord: FetchableRecord, MutablePersistableRecord {
    /// The table.
    public static var databaseTableName: String { "webhookDelivery" }

    /// Takes the number that the store gave.
    public mutating func didInsert(_ inserted: InsertionSuccess) { number = inserted.rowID }
}

/// One attempt at a delivery, as it ended.
public struct AttemptRecord: Codable, Sendable, Equatable {
    /// The id of the attempt, a UUID in lower case; the receiver was told it.
    public var id: String
    /// The delivery's number.
    public var delivery: Int64
    /// The webhook's id.
    public var webhook: String
    /// Where it was sent.
    public var url: String
    /// When it began, in milliseconds since 1970.
    public var startedAt: Int64
    /// How long it took, in milliseconds.
    public var duration: Int64
    /// Whether the receiver took the event.
    public var isSuccess: Bool
    /// The status of the answer; nil when there was none.
    public var status: Int?
    /// The beginning of the answer's fields as a JSON object; nil when there was no answer.
    public var responseHeaders: String?
    /// The beginning of the answer's body; nil when there was no answer.
    public var responseBody: String?
    /// The kind of failure; nil for a success.
    public var failure: Failure?
    /// What failed, for people.
    public var message: String?

    /// The kinds of failure, in the words of the protocol.
    public enum Failure: String, Codable, Sendable {
        /// The receiver answered with another status than 2xx.
        case http = "http_error"
        /// The receiver's name is not known.
        case lookup = "dns_error"
        /// No answer came in time.
        case timeout
        /// The receiver cannot be reached, or broke the connection.
        case transport = "transport_error"
        /// The request could not be made.
        case request = "request_error"
    }

    /// Creates a record.
    public init(
        id: String, delivery: Int64, webhook: String, url: String, startedAt: Int64, duration: Int64,
        isSuccess: Bool, status: Int? = nil, responseHeaders: String? = nil, responseBody: String? = nil,
        failure: Failure? = nil, message: String? = nil
    ) {
        self.id = id
        self.delivery = delivery
        self.webhook = webhook
        self.url = url
        self.startedAt = startedAt
        self.duration = duration
        self.isSuccess = isSuccess
        self.status = status
        self.responseHeaders = responseHeaders
        self.responseBody = responseBody
        self.failure = failure
        self.message = message
    }
}

extension AttemptRecord: FetchableRecord, PersistableRecord {
    /// The table.
    public static var databaseTableName: String { "webhookAttempt" }
}
