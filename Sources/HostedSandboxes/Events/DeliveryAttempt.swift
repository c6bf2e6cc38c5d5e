import CurlClient
import DeploymentCore
import DeploymentStore
import E2BProtocol

/// One attempt: a request to a receiver, and what came of it.
struct DeliveryAttempt: Sendable {
    /// Bytes of an answer's body that are kept; the rest is not read.
    static let maximumBody = 1_024
    /// Bytes of an answer's fields that are kept.
    static let maximumHeaders = 2_048
    /// Bytes of a message that are kept.
    static let maximumMessage = 512
    /// Fields of answers whose values are not kept.
    static let secretFields: Set<String> = ["set-cookie", "authorization", "www-authenticate"]

    /// The id of the attempt, which is new for each.
    let id: String
    let delivery: DeliveryRecord
    let webhook: WebhookRecord
    let event: SandboxEventRecord
    let team: String

    /// The request's fields; the signature belongs to nobody's log.
    static func headers(attempt: String, webhook: String, signature: String) -> [(name: String, value: String)] {
        [
            ("Content-Type", "application/json"), ("e2b-webhook-id", webhook), ("e2b-delivery-id", attempt),
            ("e2b-signature-version", WebhookSignature.version), ("e2b-signature", signature),
        ]
    }

    /// Sends the event. The status decides; of the body only the beginning is read, for the log.
    ///
    /// - Throws: `CancellationError` when the task was cancelled, and nothing else.
    func run(
        _ client: CurlClient, timeout: Duration, addresses: AddressPolicy, now: @Sendable () -> Int64
    ) async throws -> AttemptRecord {
        let body = SandboxEventPayload.delivered(event, team: team)
        let signature = WebhookSignature.make(secret: webhook.secret, body: body)
        let request = HTTPRequest(
            method: "POST", url: webhook.url,
            headers: Self.headers(attempt: id, webhook: webhook.id, signature: signature), body: .bytes(body),
            timeout: timeout, transport: .network(addresses))
        let clock = ContinuousClock()
        let (begin, startedAt) = (clock.now, now())
        var record = AttemptRecord(
            id: id, delivery: delivery.number ?? 0, webhook: webhook.id, url: webhook.url, startedAt: startedAt,
            duration: 0, isSuccess: false)
        do {
            let answer = try await client.withResponse(request) { response in
                (response.status, Self.text(response.headers), await Self.beginning(of: response.body))
            }
            record.isSuccess = (200..<300).contains(answer.0)
            (record.status, record.responseHeaders, record.responseBody) = answer
            if !record.isSuccess {
                record.failure = .http
                record.message = "the receiver answered with status \(answer.0)"
            }
        } catch {
            try Task.checkCancellation()
            record.failure = Self.failure(error)
            record.message = String(VisibleText.of("\(error)").prefix(Self.maximumMessage))
        }
        record.duration = Int64(begin.duration(to: clock.now).milliseconds)
        return record
    }

    static func failure(_ error: any Error) -> AttemptRecord.Failure {
        guard let error = error as? BerthError else { return .transport }
        switch error.code {
        case .timeout: return .timeout
        case .usage: return .request
        default: return (error.cause as? CurlError)?.isUnknownName == true ? .lookup : .transport
        }
    }

    /// What is not there in time, or breaks, is no failure any more: the status has been given.
    private static func beginning(of body: HTTPBody) async -> String {
        var bytes: [UInt8] = []
        var chunks = body.makeAsyncIterator()
        while bytes.count < maximumBody, let chunk = try? await chunks.next() {
            bytes += chunk.prefix(maximumBody - bytes.count)
        }
        return VisibleText.of(String(decoding: bytes, as: UTF8.self))
    }

    private static func text(_ headers: HTTPHeaders) -> String {
        var members: [String: JSONValue] = [:]
        var room = maximumHeaders
        for (name, value) in headers.all {
            let name = name.lowercased()
            let shown = secretFields.contains(name) ? "[redacted]" : VisibleText.of(value)
            room -= name.utf8.count + shown.utf8.count
            guard room >= 0 else { break }
            members[name] = .string(shown)
        }
        return JSONValue.object(members).description
    }
}
