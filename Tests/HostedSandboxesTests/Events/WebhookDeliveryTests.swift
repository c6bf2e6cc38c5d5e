import BerthTestSupport
import CurlClient
import DeploymentCore
import DeploymentStore
import E2BProtocol
import Foundation
import Testing
import Waiting

@testable import HostedSandboxes

@Suite struct WebhookDeliveryTests {
    @Test func receiverGetsTheEventSigned() async throws {
        let receiver = try Receiver()
        defer { receiver.server.close() }
        try await withEventBench { bench in
            let webhook = try bench.addWebhook(receiver.url)
            try await bench.deliver {
                let event = try bench.happen(.created, to: "i1")
                try await bench.until { try bench.count(webhook, .delivered) == 1 }
                let request = try #require(receiver.requests.first)
                #expect(request.method == "POST" && request.path == "/hook")
                #expect(request.headers["content-type"] == "application/json")
                #expect(request.headers["e2b-webhook-id"] == webhook)
                #expect(request.headers["e2b-signature-version"] == "v1")
                let signature = request.headers["e2b-signature"] ?? ""
                #expect(WebhookSignature.matches(signature, secret: EventBench.secret, body: request.body))
                #expect(!signature.contains("="))
                let attempts = try bench.store.deliveries(of: webhook, DeliveryQuery(limit: 9)).flatMap(\.attempts)
                #expect(attempts.map(\.id) == [request.headers["e2b-delivery-id"]])
                #expect(
                    Receiver.json(request) == [
                        "id": .string(event), "version": "v2", "type": "sandbox.lifecycle.created",
                        "timestamp": "2027-01-15T08:00:00Z", "event_category": "lifecycle", "event_label": "create",
                        "event_data": ["sandbox_metadata": ["who": "test"]], "sandbox_id": "i1",
                        "sandbox_execution_id": "x", "sandbox_template_id": "base", "sandbox_build_id": "b",
                        "sandbox_team_id": "00000000-0000-0000-0000-000000000000", "events_ttl_days": 7,
                    ])
            }
        }
    }

    @Test func statusIsWhatCounts() async throws {
        // What the receiver answers, and what becomes of the delivery by it.
        let cases: [(status: Int, isSuccess: Bool)] = [
            (200, true), (201, true), (204, true), (299, true), (300, false), (302, false), (304, false),
            (400, false), (401, false), (404, false), (410, false), (429, false), (500, false), (503, false),
        ]
        let elsewhere = try Receiver()
        defer { elsewhere.server.close() }
        let target = elsewhere.url
        let receiver = try Receiver { _, request in
            let status = request.path.split(separator: "/").last.flatMap { Int($0) } ?? 0
            return ScriptedAnswer(status, headers: [("Location", target), ("Set-Cookie", "canary=1")], "answer")
        }
        defer { receiver.server.close() }
        try await withEventBench { bench in
            let webhooks = try cases.map { try bench.addWebhook("\(receiver.url)/\($0.status)") }
            try await bench.deliver {
                try bench.happen()
                for (webhook, (status, isSuccess)) in zip(webhooks, cases) {
                    try await bench.until { try !bench.failures(webhook).isEmpty }
                    let history = try #require(try bench.store.deliveries(of: webhook, DeliveryQuery(limit: 9)).first)
                    #expect(history.delivery.state == (isSuccess ? .delivered : .pending), "\(status)")
                    let attempt = try #require(history.attempts.first)
                    #expect(attempt.status == status && attempt.isSuccess == isSuccess)
                    #expect(attempt.failure == (isSuccess ? nil : .http))
                    #expect(attempt.responseHeaders?.contains("canary") == false)
                    #expect(attempt.responseHeaders?.contains("location") == true)
                }
            }
        }
        #expect(elsewhere.requests.isEmpty, "a redirect is no way to another place")
    }

    /// How a receiver can fail without an answer.
    enum Fault: CaseIterable {
        case refused, resetBeforeAnswer, halfAnHead, notHTTP, hangs, forbiddenAddress

        var failure: AttemptRecord.Failure { self == .hangs ? .timeout : .transport }

        func serve(_ connection: ScriptedConnection) {
            guard connection.readRequest() != nil else { return }
            switch self {
            case .refused, .forbiddenAddress: break
            case .resetBeforeAnswer: connection.reset()
            case .halfAnHead: connection.send("HTTP/1.1 200 OK\r\nContent-Le")
            case .notHTTP: connection.send("220 mail.example ESMTP\r\n")
            case .hangs: connection.awaitClose()
            }
        }
    }

    @Test(arguments: Fault.allCases) func failedDeliveryIsTriedThriceAndThenDead(_ fault: Fault) async throws {
        let server = try ScriptedHTTPServer(script: fault.serve)
        defer { server.close() }
        if fault == .refused { server.close() }
        let url = fault == .forbiddenAddress ? "http://10.255.255.1:\(server.port)/" : server.url
        try await withEventBench(fault == .hangs ? .impatient : .patient) { bench in
            let webhook = try bench.addWebhook(url)
            try await bench.deliver {
                let event = try bench.happen()
                for attempt in 1...3 {
                    try await bench.until { try bench.failures(webhook).count == attempt }
                    #expect(try bench.count(webhook, attempt < 3 ? .pending : .dead) == 1)
                    await bench.pass(.seconds(12))
                }
                #expect(try bench.failures(webhook) == [fault.failure, fault.failure, fault.failure])
                let history = try bench.store.deliveries(of: webhook, DeliveryQuery(limit: 9))
                #expect(history.map(\.event.id) == [event])
                #expect(Set(history.flatMap(\.attempts).map(\.id)).count == 3, "each attempt has an id of its own")
                #expect(history.flatMap(\.attempts).allSatisfy { $0.message?.isEmpty == false })
            }
        }
    }

    @Test func retriesHaveTheSameBodyAndEndWithTheFirstSuccess() async throws {
        let receiver = try Receiver { count, _ in ScriptedAnswer(count < 3 ? 503 : 200) }
        defer { receiver.server.close() }
        try await withEventBench { bench in
            let webhook = try bench.addWebhook(receiver.url)
            try await bench.deliver {
                let event = try bench.happen()
                for attempt in 1...2 {
                    try await bench.until { try bench.failures(webhook).count == attempt }
                    await bench.pass(.seconds(12))
                }
                try await bench.until { try bench.count(webhook, .delivered) == 1 }
                #expect(receiver.events == [event, event, event])
                #expect(Set(receiver.requests.map(\.body)).count == 1)
                #expect(Set(receiver.requests.map { $0.headers["e2b-signature"] }).count == 1)
                #expect(Set(receiver.requests.map { $0.headers["e2b-delivery-id"] }).count == 3)
                #expect(try bench.failures(webhook) == [.http, .http, nil])
            }
        }
    }

    @Test func answerThatBreaksAfterItsStatusCounts() async throws {
        let server = try ScriptedHTTPServer { connection in
            guard connection.readRequest() != nil else { return }
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        }
        defer { server.close() }
        let flood = try Receiver { _, _ in ScriptedAnswer(200, String(repeating: "x", count: 1 << 20)) }
        defer { flood.server.close() }
        try await withEventBench { bench in
            let webhooks = [try bench.addWebhook(server.url), try bench.addWebhook(flood.url)]
            try await bench.deliver {
                try bench.happen()
                for (webhook, length) in zip(webhooks, [4, DeliveryAttempt.maximumBody]) {
                    try await bench.until { try bench.count(webhook, .delivered) == 1 }
                    let history = try bench.store.deliveries(of: webhook, DeliveryQuery(limit: 9))
                    #expect(history.first?.attempts.first?.responseBody?.utf8.count == length)
                }
            }
        }
    }

    @Test func whatWasUnderWayIsSentAgainByTheNextProcess() async throws {
        // The first request is read and never answered, as by a receiver that outlives us.
        let taken = Promise<ScriptedRequest>()
        let first = Locked(true)
        let later = Locked<[ScriptedRequest]>([])
        let server = try ScriptedHTTPServer { connection in
            while let request = connection.readRequest() {
                if first.withLock({ isFirst in
                    defer { isFirst = false }; return isFirst
                }) {
                    taken.fulfil(request)
                    return connection.awaitClose()
                }
                later.withLock { $0.append(request) }
                connection.send(ScriptedAnswer(), to: request)
            }
        }
        defer { server.close() }
        try await withTemporaryFolder { folder in
            let before = try EventBench(folder: folder)
            let webhook = try before.addWebhook(server.url)
            let event = try before.happen()
            try await before.deliver { _ = await taken.wait() }
            before.client.close()
            #expect(try before.store.deliveries(of: webhook, DeliveryQuery(limit: 9)).isEmpty, "nothing was written")

            let after = try EventBench(folder: folder)
            try await after.deliver {
                try await after.until { try after.count(webhook, .delivered) == 1 }
            }
            after.client.close()
            let sent = [try #require(taken.current)] + later.withLock { $0 }
            #expect(sent.map { Receiver.json($0)?["id"]?.string } == [event, event])
            #expect(Set(sent.map { $0.headers["e2b-delivery-id"] }).count == 2)
        }
    }

    @Test func deadDeliveryIsRepeatedOnDemand() async throws {
        let isBroken = Locked(true)
        let receiver = try Receiver { _, _ in ScriptedAnswer(isBroken.withLock { $0 } ? 500 : 200) }
        defer { receiver.server.close() }
        try await withEventBench { bench in
            let webhook = try bench.addWebhook(receiver.url)
            try await bench.deliver {
                let event = try bench.happen()
                for attempt in 1...3 {
                    try await bench.until { try bench.failures(webhook).count == attempt }
                    await bench.pass(.seconds(12))
                }
                #expect(try bench.count(webhook, .dead) == 1)
                isBroken.withLock { $0 = false }
                let answer = try bench.events.redeliver(event, to: webhook)
                #expect(answer["state"] == "pending" && answer["eventId"] == .string(event))
                try await bench.until { try bench.count(webhook, .delivered) == 1 }
                // What was taken can be asked for as well.
                _ = try bench.events.redeliver(event, to: webhook)
                try await bench.until { try bench.failures(webhook).count == 5 }
                #expect(receiver.events == Array(repeating: event, count: 5))
            }
        }
    }
}
