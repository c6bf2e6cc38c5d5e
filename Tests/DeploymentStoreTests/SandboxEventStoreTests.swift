import BerthTestSupport
import DeploymentCore
import Foundation
import GRDB
import Testing

@testable import DeploymentStore

@Suite struct SandboxEventStoreTests {
    private func with(_ body: (DeploymentStore) throws -> Void) async throws {
        try await withTemporaryFolder { try body(try DeploymentStore(path: "\($0)/berth.sqlite")) }
    }

    private func event(
        _ id: String, _ kind: SandboxEventRecord.Kind = .created, sandbox: String = "i1", time: Int64 = 1
    ) -> SandboxEventRecord {
        SandboxEventRecord(
            id: id, sandbox: sandbox, kind: kind, execution: "x", template: "base", build: "b", data: "{}", time: time)
    }

    private func webhook(
        _ id: String, _ kinds: [SandboxEventRecord.Kind] = [.created], isEnabled: Bool = true, createdAt: Int64 = 1
    ) -> WebhookRecord {
        WebhookRecord(
            id: id, name: id, url: "http://127.0.0.1:1/", isEnabled: isEnabled, kinds: kinds, secret: "canary-secret",
            createdAt: createdAt)
    }

    private func attempt(
        _ id: String, _ delivery: DeliveryRecord, isSuccess: Bool = false, startedAt: Int64 = 1, duration: Int64 = 5
    ) -> AttemptRecord {
        AttemptRecord(
            id: id, delivery: delivery.number ?? 0, webhook: delivery.webhook, url: "http://127.0.0.1:1/",
            startedAt: startedAt, duration: duration, isSuccess: isSuccess, failure: isSuccess ? nil : .transport)
    }

    @Test func eventIsThereWithItsChangeOrNotAtAll() async throws {
        try await with { store in
            try store.add(webhook("w"))
            struct Refusal: Error {}
            let error = #expect(throws: BerthError.self) {
                try store.write("change something") { database in
                    try DeploymentStore.append(event("e"), database)
                    throw Refusal()
                }
            }
            #expect(error?.cause is Refusal)
            #expect(try store.sandboxEvent("e") == nil)
            #expect(try store.pendingDeliveries(of: "w", limit: 9).isEmpty)
            try store.write("change something") { try DeploymentStore.append(event("e"), $0) }
            #expect(try store.sandboxEvent("e")?.kind == .created)
            #expect(try store.pendingDeliveries(of: "w", limit: 9).map(\.event) == ["e"])
        }
    }

    @Test func webhookIsToldOfLaterEventsOfItsKindsOnly() async throws {
        try await with { store in
            try store.append(event("early"))
            try store.add(webhook("w", [.created, .killed]))
            try store.add(webhook("off", isEnabled: false))
            for (index, kind) in SandboxEventRecord.Kind.allCases.enumerated() {
                try store.append(event("\(kind)", kind, time: Int64(index)))
            }
            #expect(try store.pendingDeliveries(of: "w", limit: 9).map(\.event) == ["created", "killed"])
            #expect(try store.pendingDeliveries(of: "off", limit: 9).isEmpty)
        }
    }

    @Test func earliestDeliveriesComeFirstAndRetriesInTheirTurn() async throws {
        try await with { store in
            try store.add(webhook("w"))
            for number in 1...4 { try store.append(event("e\(number)", time: 10)) }
            let first = try #require(try store.pendingDeliveries(of: "w", limit: 1).first)
            try store.record([
                DeliveryOutcome(attempt: attempt("a", first), state: .pending, attempts: 1, due: 100)
            ])
            #expect(try store.pendingDeliveries(of: "w", limit: 9).map(\.event) == ["e2", "e3", "e4", "e1"])
            #expect(try store.pendingDeliveries(of: "w", limit: 9).last?.attempts == 1)
            #expect(try store.pendingDeliveries(of: "w", without: ["i1"], limit: 9).isEmpty)
        }
    }

    @Test func disabledWebhookLosesWhatWaitsAndItsLateOutcomesAreOnlyRemembered() async throws {
        try await with { store in
            try store.add(webhook("w"))
            try store.append(event("e"))
            let delivery = try #require(try store.pendingDeliveries(of: "w", limit: 9).first)
            #expect(try store.updateWebhook("w") { $0.isEnabled = false }.isEnabled == false)
            #expect(try store.pendingDeliveries(of: "w", limit: 9).isEmpty)
            try store.record([
                DeliveryOutcome(attempt: attempt("a", delivery), state: .pending, attempts: 1, due: 5)
            ])
            #expect(try store.pendingDeliveries(of: "w", limit: 9).isEmpty, "an outcome brings nothing back")
            let history = try store.deliveries(of: "w", DeliveryQuery(limit: 9))
            #expect(history.map(\.delivery.state) == [.cancelled])
            #expect(history.first?.attempts.map(\.id) == ["a"])
            _ = try store.updateWebhook("w") { $0.isEnabled = true }
            #expect(try store.pendingDeliveries(of: "w", limit: 9).isEmpty, "nor does enabling")
        }
    }

    @Test func deletedWebhookTakesItsDeliveriesAndOutcomesAlong() async throws {
        try await with { store in
            try store.add(webhook("w"))
            try store.append(event("e"))
            let delivery = try #require(try store.pendingDeliveries(of: "w", limit: 9).first)
            try store.removeWebhook("w")
            try store.record([
                DeliveryOutcome(attempt: attempt("a", delivery), state: .delivered, attempts: 0, due: 0)
            ])
            let left = try store.read("count") { database in
                try DeliveryRecord.fetchCount(database) + AttemptRecord.fetchCount(database)
            }
            #expect(left == 0)
            #expect(try store.sandboxEvent("e") != nil, "the event stays")
            #expect(throws: BerthError.self) { try store.removeWebhook("w") }
            #expect(throws: BerthError.self) { try store.updateWebhook("w") { _ in } }
        }
    }

    @Test func webhooksHaveAMaximum() async throws {
        try await with { store in
            for number in 0..<DeploymentStore.maximumWebhooks {
                try store.add(webhook("w\(number)", createdAt: Int64(number)))
            }
            let error = #expect(throws: BerthError.self) { try store.add(webhook("beyond")) }
            #expect(error?.code == .quota)
            #expect(try store.webhooks().count == DeploymentStore.maximumWebhooks)
            #expect(try store.webhooks().first?.id == "w0")
        }
    }

    @Test func redeliveryBeginsAnew() async throws {
        try await with { store in
            try store.append(event("before"))
            try store.add(webhook("w"))
            try store.append(event("e"))
            let delivery = try #require(try store.pendingDeliveries(of: "w", limit: 9).first)
            try store.record([
                DeliveryOutcome(attempt: attempt("a", delivery), state: .dead, attempts: 3, due: 9)
            ])
            #expect(try store.pendingDeliveries(of: "w", limit: 9).isEmpty)
            let again = try store.redeliver("e", to: "w", at: 77)
            #expect(again.number == delivery.number)
            #expect(try store.pendingDeliveries(of: "w", limit: 9) == [again])
            #expect(again.attempts == 0 && again.due == 77)
            // Of an event from before its time too, if somebody asks.
            #expect(try store.redeliver("before", to: "w", at: 78).event == "before")
            for (event, webhook) in [("no", "w"), ("e", "no")] {
                let error = #expect(throws: BerthError.self) { try store.redeliver(event, to: webhook, at: 1) }
                #expect(error?.code == .notFound)
            }
            _ = try store.updateWebhook("w") { $0.isEnabled = false }
            let error = #expect(throws: BerthError.self) { try store.redeliver("e", to: "w", at: 1) }
            #expect(error?.code == .conflict)
        }
    }

    @Test func attemptsOfOneDeliveryHaveAMaximum() async throws {
        try await with { store in
            try store.add(webhook("w"))
            try store.append(event("e"))
            let delivery = try #require(try store.pendingDeliveries(of: "w", limit: 9).first)
            for number in 0..<(DeploymentStore.maximumKeptAttempts + 5) {
                try store.record([
                    DeliveryOutcome(attempt: attempt("a\(number)", delivery), state: .pending, attempts: 1, due: 1)
                ])
            }
            let kept = try store.deliveries(of: "w", DeliveryQuery(limit: 9)).first?.attempts.map(\.id) ?? []
            #expect(kept.count == DeploymentStore.maximumKeptAttempts)
            #expect(kept.first == "a5")
        }
    }

    @Test func oldEventsAreForgottenWithTheirDeliveries() async throws {
        try await with { store in
            let day: Int64 = 86_400_000
            try store.add(webhook("w"))
            try store.append(event("old", time: day))
            try store.append(event("new", time: 2 * day))
            try store.removeSandboxEvents(before: 2 * day)
            #expect(try store.sandboxEvents(limit: 9).map(\.id) == ["new"])
            #expect(try store.pendingDeliveries(of: "w", limit: 9).map(\.event) == ["new"])
            // Appending looks for them as well.
            for number in 0..<DeploymentStore.sandboxEventSweep {
                try store.append(event("late\(number)", time: 2 * day + DeploymentStore.sandboxEventLifetime + 1))
            }
            #expect(try store.sandboxEvent("new") == nil)
        }
    }

    @Test func eventsHaveAMaximumOfRows() async throws {
        try await with { store in
            try store.write("fill") { database in
                for number in 0..<(DeploymentStore.maximumSandboxEvents + 250) {
                    try DeploymentStore.append(event("e\(number)"), database)
                }
            }
            let count = try store.read("count") { try SandboxEventRecord.fetchCount($0) }
            #expect(count <= DeploymentStore.maximumSandboxEvents + Int(DeploymentStore.sandboxEventSweep))
            #expect(try store.sandboxEvent("e0") == nil)
            #expect(try store.sandboxEvent("e\(DeploymentStore.maximumSandboxEvents + 249)") != nil)
        }
    }

    @Test func eventsAreReadByPagesSandboxesAndKinds() async throws {
        try await with { store in
            for number in 0..<6 {
                let kind: SandboxEventRecord.Kind = number.isMultiple(of: 2) ? .created : .killed
                try store.append(event("e\(number)", kind, sandbox: number < 3 ? "i1" : "i2"))
            }
            #expect(try store.sandboxEvents(limit: 2).map(\.id) == ["e5", "e4"])
            #expect(try store.sandboxEvents(offset: 2, limit: 2).map(\.id) == ["e3", "e2"])
            #expect(try store.sandboxEvents(limit: 2, isAscending: true).map(\.id) == ["e0", "e1"])
            #expect(try store.sandboxEvents(of: "i2", limit: 9).map(\.id) == ["e5", "e4", "e3"])
            #expect(try store.sandboxEvents(kinds: [.killed], limit: 9).map(\.id) == ["e5", "e3", "e1"])
            #expect(try store.sandboxEvents(after: 4, limit: 9).map(\.id) == ["e4", "e5"])
            #expect(try store.lastSandboxEvent() == 6)
        }
    }

    @Test func deliveriesAreFoundByTheirAttempts() async throws {
        try await with { store in
            try store.add(webhook("w", SandboxEventRecord.Kind.allCases))
            for (index, kind) in [SandboxEventRecord.Kind.created, .paused, .killed].enumerated() {
                try store.append(event("\(kind)", kind, time: Int64(index)))
            }
            let hour: Int64 = 3_600_000
            let waiting = try store.pendingDeliveries(of: "w", limit: 9)
            try store.record([
                DeliveryOutcome(
                    attempt: attempt("a1", waiting[0], startedAt: 10, duration: 30), state: .pending, attempts: 1,
                    due: 9),
                DeliveryOutcome(
                    attempt: attempt("a2", waiting[0], isSuccess: true, startedAt: hour, duration: 10),
                    state: .delivered, attempts: 1, due: 9),
                DeliveryOutcome(
                    attempt: attempt("a3", waiting[1], startedAt: hour + 1, duration: 20), state: .dead, attempts: 3,
                    due: 9),
            ])
            func found(_ query: DeliveryQuery) throws -> [String: [String]] {
                let found = try store.deliveries(of: "w", query)
                return Dictionary(uniqueKeysWithValues: found.map { ($0.event.id, $0.attempts.map(\.id)) })
            }
            #expect(try found(DeliveryQuery(limit: 9)) == ["created": ["a1", "a2"], "paused": ["a3"]])
            #expect(try found(DeliveryQuery(limit: 1)) == ["paused": ["a3"]])
            #expect(try found(DeliveryQuery(cursor: waiting[1].number, limit: 9)) == ["created": ["a1", "a2"]])
            #expect(try found(DeliveryQuery(limit: 1, isAscending: true)) == ["created": ["a1", "a2"]])
            #expect(try found(DeliveryQuery(limit: 9, isSuccess: true)) == ["created": ["a2"]])
            #expect(try found(DeliveryQuery(limit: 9, isSuccess: false)) == ["created": ["a1"], "paused": ["a3"]])
            #expect(try found(DeliveryQuery(limit: 9, start: 10, end: hour)) == ["created": ["a1"]])
            #expect(try found(DeliveryQuery(limit: 9, kinds: [.paused, .killed])) == ["paused": ["a3"]])
            let (hours, states) = try store.deliveryCounts(of: "w", start: 0, end: 2 * hour)
            #expect(
                hours == [
                    DeliveryCount(hour: 0, total: 1, failed: 1, minimum: 30, sum: 30, maximum: 30),
                    DeliveryCount(hour: hour, total: 2, failed: 1, minimum: 10, sum: 30, maximum: 20),
                ])
            #expect(states == [.delivered: 1, .dead: 1, .pending: 1])
            #expect(throws: BerthError.self) { try store.deliveries(of: "no", DeliveryQuery(limit: 1)) }
        }
    }

    @Test func watcherHearsOfEventsAndWebhooks() async throws {
        try await with { store in
            let heard = Locked(0)
            let observation = store.observeSandboxEvents { heard.withLock { $0 += 1 } }
            try store.append(event("e"))
            #expect(heard.withLock { $0 } == 1)
            try store.add(webhook("w"))
            #expect(heard.withLock { $0 } == 2)
            try store.append(LifecycleRecord(deployment: "iris", kind: .paused, time: 1))
            #expect(heard.withLock { $0 } == 2, "other tables are none of its business")
            observation.cancel()
            try store.append(event("f"))
            #expect(heard.withLock { $0 } == 2)
        }
    }

    @Test func printedWebhookHasNoSecret() {
        let record = webhook("w")
        var dumped = ""
        dump([record], to: &dumped)
        let texts = ["\(record)", "\([record])", String(reflecting: record), "\(Optional(record) as Any)", dumped]
        for text in texts { #expect(!text.contains("canary"), "\(text)") }
    }
}
