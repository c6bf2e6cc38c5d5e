import DeploymentCore
import DeploymentStore
import E2BProtocol

extension SandboxEvents {
    /// Makes a webhook, which is told of events from now on.
    ///
    /// - Throws: a `ControlFailure` 400 that names the field, `quota` when there are too many.
    public func addWebhook(_ creation: WebhookCreation) throws -> WebhookDescription {
        let webhook = WebhookRecord(
            id: configuration.makeID(), name: try WebhookRules.name(creation.name),
            url: try WebhookRules.url(creation.url), isEnabled: creation.isEnabled,
            kinds: try WebhookRules.kinds(creation.events), secret: try WebhookRules.secret(creation.secret),
            createdAt: now())
        try store.add(webhook)
        return describe(webhook)
    }

    /// All webhooks, oldest first.
    public func webhooks() throws -> [WebhookDescription] { try store.webhooks().map(describe) }

    /// A webhook.
    ///
    /// - Throws: `not_found`.
    public func webhook(_ id: String) throws -> WebhookDescription {
        guard let webhook = try store.webhook(id) else {
            throw BerthError(.notFound, "there is no webhook \(VisibleText.of(id))")
        }
        return describe(webhook)
    }

    /// Changes a webhook; attempts that are under way keep what they began with, later ones follow the change.
    ///
    /// - Throws: a `ControlFailure` 400 that names the field, `not_found`.
    public func changeWebhook(_ id: String, _ change: WebhookChange) throws -> WebhookDescription {
        let name = try change.name.map(WebhookRules.name)
        let url = try change.url.map(WebhookRules.url)
        let kinds = try change.events.map { try WebhookRules.kinds($0) }
        let secret = try change.secret.map(WebhookRules.secret)
        return describe(
            try store.updateWebhook(id) { webhook in
                webhook.name = name ?? webhook.name
                webhook.url = url ?? webhook.url
                webhook.kinds = kinds ?? webhook.kinds
                webhook.secret = secret ?? webhook.secret
                webhook.isEnabled = change.isEnabled ?? webhook.isEnabled
            })
    }

    /// Forgets a webhook and its deliveries; attempts that are under way are broken off.
    ///
    /// - Throws: `not_found`.
    public func removeWebhook(_ id: String) throws { try store.removeWebhook(id) }

    /// Delivers an event to a webhook once more.
    ///
    /// - Throws: `not_found` for either, `conflict` when the webhook is disabled.
    public func redeliver(_ event: String, to webhook: String) throws -> JSONValue {
        let delivery = try store.redeliver(event, to: webhook, at: now())
        dispatcher.noteChange()
        return [
            "eventId": .string(delivery.event), "eventType": .string(delivery.kind.type),
            "sandboxId": .string(delivery.sandbox), "state": .string(delivery.state.rawValue),
        ]
    }

    /// A page of a webhook's deliveries with their attempts, and the cursor of the next page.
    ///
    /// - Parameters:
    ///   - cursor: what the page before gave; nil for the first.
    ///   - start: attempts that began at this time or later, in milliseconds since 1970.
    ///   - end: attempts that began before this time.
    ///   - isSuccess: only attempts that succeeded, or failed.
    ///   - types: of events, as `sandbox.lifecycle.created`; empty for all.
    /// - Throws: `not_found`, a `ControlFailure` 400 for an unknown type.
    public func deliveries(
        of webhook: String, cursor: Int64? = nil, limit: Int = 25, isAscending: Bool = false, start: Int64? = nil,
        end: Int64? = nil, isSuccess: Bool? = nil, types: [String] = []
    ) throws -> JSONValue {
        let kinds = types.isEmpty ? [] : try WebhookRules.kinds(types, field: "eventType")
        let query = DeliveryQuery(
            cursor: cursor, limit: limit + 1, isAscending: isAscending, start: start, end: end,
            isSuccess: isSuccess, kinds: kinds)
        let found = try store.deliveries(of: webhook, query)
        let page = found.prefix(limit)
        let next = found.count > page.count ? page.last?.delivery.number : nil
        return [
            "data": .array(page.map(describe)),
            "nextCursor": next.map { .string(String($0)) } ?? .null,
        ]
    }

    /// Counts of a webhook's attempts in `[start, end)`, whole and by the hour, and of its deliveries by their state.
    ///
    /// - Parameters:
    ///   - start: in milliseconds since 1970; nil for a day before the end.
    ///   - end: in milliseconds since 1970; nil for now.
    /// - Throws: `not_found`.
    public func statistics(of webhook: String, start: Int64? = nil, end: Int64? = nil) throws -> JSONValue {
        let end = end ?? now() + 1
        let start = start ?? end - 86_400_000
        let (hours, states) = try store.deliveryCounts(of: webhook, start: start, end: end)
        var all = DeliveryCount(hour: start, minimum: .max)
        for hour in hours {
            all.total += hour.total
            all.failed += hour.failed
            all.minimum = min(all.minimum, hour.minimum)
            all.sum += hour.sum
            all.maximum = max(all.maximum, hour.maximum)
        }
        var members = Self.json(all).object ?? [:]
        members["buckets"] = .array(
            hours.map { hour in
                var members = Self.json(hour).object ?? [:]
                members["timestamp"] = .string(Timestamp(milliseconds: hour.hour).text)
                return .object(members)
            })
        for state in DeliveryRecord.State.allCases {
            members[state.rawValue] = .integer(Int64(states[state] ?? 0))
        }
        return .object(members)
    }

    private static func json(_ count: DeliveryCount) -> JSONValue {
        [
            "total": .integer(count.total), "failed": .integer(count.failed),
            "durationMs": [
                "minimum": .integer(count.total == 0 ? 0 : count.minimum),
                "average": .double(count.total == 0 ? 0 : Double(count.sum) / Double(count.total)),
                "maximum": .integer(count.maximum),
            ],
        ]
    }

    private func describe(_ webhook: WebhookRecord) -> WebhookDescription {
        WebhookDescription(
            id: webhook.id, team: configuration.team, name: webhook.name,
            createdAt: Timestamp(milliseconds: webhook.createdAt), isEnabled: webhook.isEnabled, url: webhook.url,
            events: webhook.kinds.map(\.type))
    }

    private func describe(_ history: DeliveryHistory) -> JSONValue {
        let delivery = history.delivery
        let body = String(
            decoding: SandboxEventPayload.delivered(history.event, team: configuration.team), as: UTF8.self)
        return [
            "eventId": .string(delivery.event), "eventType": .string(delivery.kind.type),
            "sandboxId": .string(delivery.sandbox), "state": .string(delivery.state.rawValue),
            "attempts": .array(history.attempts.map { describe($0, of: delivery, body: body) }),
        ]
    }

    private func describe(_ attempt: AttemptRecord, of delivery: DeliveryRecord, body: String) -> JSONValue {
        let headers = DeliveryAttempt.headers(
            attempt: attempt.id, webhook: attempt.webhook, signature: "[redacted]")
        let sent = Dictionary(headers.map { ($0.name.lowercased(), JSONValue.string($0.value)) }) { $1 }
        return [
            "id": .string(attempt.id), "teamId": .string(configuration.team), "webhookId": .string(attempt.webhook),
            "eventId": .string(delivery.event), "eventType": .string(delivery.kind.type),
            "sandboxId": .string(delivery.sandbox),
            "status": .string(attempt.isSuccess ? "success" : "failed"), "durationMs": .integer(attempt.duration),
            "requestBody": .string(body), "requestHeaders": .string(JSONValue.object(sent).description),
            "requestUrl": .string(attempt.url),
            "responseHttpStatusCode": attempt.status.map { .integer(Int64($0)) } ?? .null,
            "responseHeaders": attempt.responseHeaders.map { .string($0) } ?? .null,
            "responseBody": attempt.responseBody.map { .string($0) } ?? .null,
            "errorClass": attempt.failure.map { .string($0.rawValue) } ?? .null,
            "errorMessage": attempt.message.map { .string($0) } ?? .null,
            "timestamp": .string(Timestamp(milliseconds: attempt.startedAt).text),
        ]
    }
}
