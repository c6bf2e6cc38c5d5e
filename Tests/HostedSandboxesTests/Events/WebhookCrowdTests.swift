import BerthTestSupport
import DeploymentCore
import DeploymentStore
import E2BProtocol
import Foundation
import Testing
import Waiting

@testable import HostedSandboxes

/// Many webhooks, many events, and changes in between.
@Suite struct WebhookCrowdTests {
    @Test func eventsOfASandboxComeInTheirOrderAndASlowOneHoldsOnlyItsOwn() async throws {
        let isOpen = Promise<Void>()
        let gate = DispatchSemaphore(value: 0)
        let receiver = try Receiver { _, request in
            // The first event of the slow sandbox is answered last.
            if Receiver.json(request)?["sandbox_id"] == "slow", Receiver.json(request)?["event_label"] == "create" {
                isOpen.fulfil(())
                gate.wait()
            }
            return ScriptedAnswer()
        }
        defer { receiver.server.close() }
        defer { gate.signal() }
        let order: [SandboxEventRecord.Kind] = [.created, .updated, .paused, .resumed, .killed]
        try await withEventBench { bench in
            let webhook = try bench.addWebhook(receiver.url, order)
            try await bench.deliver {
                for kind in order { try bench.happen(kind, to: "slow") }
                _ = await isOpen.wait()
                for kind in order { try bench.happen(kind, to: "quick") }
                try await bench.until { try bench.count(webhook, .delivered) == 5 }
                func labels(_ sandbox: String) -> [String] {
                    receiver.requests.compactMap { Receiver.json($0) }
                        .filter { $0["sandbox_id"]?.string == sandbox }.compactMap { $0["event_label"]?.string }
                }
                #expect(labels("quick") == ["create", "update", "pause", "resume", "kill"])
                #expect(labels("slow") == ["create"])
                gate.signal()
                try await bench.until { try bench.count(webhook, .delivered) == 10 }
                #expect(labels("slow") == ["create", "update", "pause", "resume", "kill"])
            }
        }
    }

    @Test func failedEventDoesNotHoldUpWhatFollows() async throws {
        let receiver = try Receiver { _, request in
            ScriptedAnswer(Receiver.json(request)?["event_label"] == "create" ? 500 : 200)
        }
        defer { receiver.server.close() }
        try await withEventBench { bench in
            let webhook = try bench.addWebhook(receiver.url, [.created, .killed])
            try await bench.deliver {
                try bench.happen(.created)
                try bench.happen(.killed)
                try await bench.until { try bench.count(webhook, .delivered) == 1 }
                #expect(try bench.count(webhook, .pending) == 1)
            }
        }
    }

    @Test func fiftyWebhooksOfWhichOneHangsAndOneIsDead() async throws {
        let receiver = try Receiver()
        defer { receiver.server.close() }
        let hanging = try ScriptedHTTPServer { $0.awaitClose() }
        defer { hanging.close() }
        let closed = try ScriptedHTTPServer { _ in }
        closed.close()
        let count = 20
        try await withEventBench { bench in
            let stuck = try bench.addWebhook(hanging.url)
            let dead = try bench.addWebhook(closed.url)
            let webhooks = try (0..<48).map { try bench.addWebhook("\(receiver.url)/\($0)") }
            try await bench.deliver {
                let events = try (0..<count).map { try bench.happen(to: "i\($0)") }
                for webhook in webhooks {
                    try await bench.until { try bench.count(webhook, .delivered) == count }
                }
                let paths = Dictionary(grouping: receiver.requests, by: \.path)
                #expect(paths.count == 48)
                for (path, requests) in paths {
                    let got = requests.compactMap { Receiver.json($0)?["id"]?.string }
                    #expect(got.count == count && Set(got) == Set(events), "\(path)")
                }
                #expect(hanging.accepted <= DeliveryDecider.maximumPerWebhook)
                #expect(try bench.count(stuck, .pending) == count)
                #expect(try bench.count(dead, .pending) == count)
            }
        }
    }

    @Test func aThousandEventsArriveOnceEachAndInOrder() async throws {
        let receiver = try Receiver()
        defer { receiver.server.close() }
        try await withEventBench { bench in
            let webhook = try bench.addWebhook(receiver.url)
            try await bench.deliver {
                let events = try (0..<1_000).map { try bench.happen(to: "i\($0 % 25)") }
                try await bench.until { try bench.count(webhook, .delivered) == 1_000 }
                #expect(receiver.events.count == 1_000 && Set(receiver.events) == Set(events))
                let place = Dictionary(uniqueKeysWithValues: events.enumerated().map { ($0.element, $0.offset) })
                let places = Dictionary(grouping: receiver.events.compactMap { place[$0] }) { $0 % 25 }
                #expect(places.count == 25)
                for (sandbox, places) in places { #expect(places == places.sorted(), "sandbox \(sandbox)") }
            }
        }
    }

    /// What makes a webhook stop.
    enum Stop: CaseIterable { case disabled, deleted }

    @Test(arguments: Stop.allCases) func stoppedWebhookIsBrokenOffAndGetsNothingMore(_ stop: Stop) async throws {
        let (taken, isGone) = (Promise<Void>(), Promise<Void>())
        let server = try ScriptedHTTPServer { connection in
            guard connection.readRequest() != nil else { return }
            taken.fulfil(())
            connection.awaitClose()
            isGone.fulfil(())
        }
        defer { server.close() }
        let witness = try Receiver()
        defer { witness.server.close() }
        try await withEventBench { bench in
            let webhook = try bench.addWebhook(server.url)
            let other = try bench.addWebhook(witness.url)
            try await bench.deliver {
                try bench.happen(to: "i1")
                // Waits behind the first one.
                try bench.happen(to: "i1")
                _ = await taken.wait()
                switch stop {
                case .disabled: _ = try bench.events.changeWebhook(webhook, WebhookChange(isEnabled: false))
                case .deleted: try bench.events.removeWebhook(webhook)
                }
                _ = await isGone.wait()
                try bench.happen(to: "i1")
                try await bench.until { try bench.count(other, .delivered) == 3 }
                await bench.pass(.seconds(12))
                #expect(server.accepted == 1)
                if stop == .disabled { #expect(try bench.count(webhook, .cancelled) == 2) }
            }
        }
    }

    @Test func newWebhookHearsOfWhatHappensFromNowOn() async throws {
        let receiver = try Receiver()
        defer { receiver.server.close() }
        try await withEventBench { bench in
            try await bench.deliver {
                try bench.happen(.created)
                let webhook = try bench.addWebhook(receiver.url, [.killed, .paused])
                let wanted = [try bench.happen(.paused), try bench.happen(.killed)]
                try bench.happen(.updated)
                try await bench.until { try bench.count(webhook, .delivered) == 2 }
                #expect(receiver.events == wanted)
                // A change holds for what comes after it.
                _ = try bench.events.changeWebhook(
                    webhook, WebhookChange(events: [SandboxEventRecord.Kind.updated.type]))
                try bench.happen(.killed)
                let last = try bench.happen(.updated)
                try await bench.until { try bench.count(webhook, .delivered) == 3 }
                #expect(receiver.events == wanted + [last])
            }
        }
    }

    @Test func secretIsSeenNowhere() async throws {
        let receiver = try Receiver { _, _ in ScriptedAnswer(500) }
        defer { receiver.server.close() }
        try await withEventBench { bench in
            let webhook = try bench.addWebhook(receiver.url)
            try await bench.deliver {
                try bench.happen()
                try await bench.until { try !bench.failures(webhook).isEmpty }
                let shown = [
                    JSONValue.array(try bench.events.webhooks().map(\.json)).description,
                    try bench.events.webhook(webhook).json.description,
                    try bench.events.changeWebhook(webhook, WebhookChange(secret: "canary-another")).json.description,
                    try bench.events.deliveries(of: webhook).description,
                    try bench.events.statistics(of: webhook).description,
                    JSONValue.array(try bench.events.events()).description,
                    "\(try bench.store.webhooks())", String(reflecting: try bench.store.webhook(webhook)),
                ]
                for text in shown { #expect(!text.contains("canary"), "\(text)") }
                #expect(shown[3].contains("[redacted]"), "the signature is in no log either")
                let signature = try #require(receiver.requests.first?.headers["e2b-signature"])
                #expect(!shown[3].contains(signature))
            }
        }
    }

    @Test func oldEventsAreForgottenWhileItRuns() async throws {
        try await withEventBench { bench in
            try await bench.deliver {
                let event = try bench.happen()
                try await bench.until { try bench.store.sandboxEvent(event) != nil }
                await bench.pass(.seconds(DeploymentStore.sandboxEventLifetime / 1_000 + 1))
                try await bench.until { try bench.store.sandboxEvent(event) == nil }
            }
        }
    }

    @Test func followerSeesEventsOnceAndFromWhereItLeftOff() async throws {
        try await withEventBench { bench in
            try bench.happen(.created)
            let seen = Locked<[Int64]>([])
            try await bench.deliver {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    let some = Promise<Void>()
                    group.addTask {
                        try await bench.events.follow(types: [], after: 0) { number, type, event in
                            #expect(event["type"]?.string == type)
                            seen.withLock { $0.append(number) }
                            if number == 3 { some.fulfil(()) }
                        }
                    }
                    try await bench.until { true }
                    try bench.happen(.paused)
                    try bench.happen(.killed)
                    _ = await some.wait()
                    group.cancelAll()
                }
                #expect(seen.withLock { $0 } == [1, 2, 3])
                let rest = Promise<[Int64]>()
                await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask {
                        try await bench.events.follow(types: ["sandbox.lifecycle.killed"], after: 1) { number, _, _ in
                            rest.fulfil([number])
                        }
                    }
                    #expect(await rest.wait() == [3])
                    group.cancelAll()
                }
            }
        }
    }
}
