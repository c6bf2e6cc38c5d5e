import BerthTestSupport
import CurlClient
import DeploymentCore
import DeploymentStore
import E2BProtocol
import E2BServer
import Foundation
import HostedSandboxes
import Testing

@Suite struct EventRoutesTests {
    static let creation: JSONValue = [
        "name": "mine", "url": "http://127.0.0.1:1/hook", "events": ["sandbox.lifecycle.created"],
        "signatureSecret": "canary-0123456789",
    ]

    /// The creation with some members changed; null takes one away.
    static func creation(_ changes: [String: JSONValue]) -> JSONValue {
        var members = creation.object ?? [:]
        for (name, value) in changes { members[name] = value == .null ? nil : value }
        return .object(members)
    }

    @Test func webhookIsMadeReadChangedAndDeleted() async throws {
        try await EventServer.run { server in
            let made = try await server.send("POST", "/events/webhooks", Self.creation)
            #expect(made.status == 201)
            let id = try #require(made.json["id"]?.string)
            #expect(UUID(uuidString: id) != nil)
            let expected: JSONValue = [
                "id": .string(id), "teamId": "00000000-0000-0000-0000-000000000000", "name": "mine",
                "createdAt": "2027-01-15T08:00:00Z", "enabled": true, "url": "http://127.0.0.1:1/hook",
                "events": ["sandbox.lifecycle.created"],
            ]
            #expect(made.json == expected)
            #expect(try await server.send("GET", "/events/webhooks").json == [expected])
            #expect(try await server.send("GET", "/events/webhooks/\(id)").json == expected)
            // The older path tells of the same.
            #expect(try await server.send("GET", "/events/webhooks/sandboxes").json == [expected])
            #expect(try await server.send("GET", "/events/webhooks/sandboxes/\(id)").json == expected)

            let changed = try await server.send("PATCH", "/events/webhooks/\(id)", ["name": "yours", "enabled": false])
            #expect(changed.status == 200)
            #expect(changed.json["name"] == "yours" && changed.json["enabled"] == false)
            #expect(changed.json["url"] == expected["url"] && changed.json["events"] == expected["events"])
            #expect(try await server.send("PATCH", "/events/webhooks/\(id)", "{}").json == changed.json)

            #expect(try await server.send("DELETE", "/events/webhooks/\(id)").status == 200)
            for method in ["GET", "DELETE"] {
                let gone = try await server.send(method, "/events/webhooks/\(id)")
                #expect(gone.status == 404)
                #expect(gone.json == ["code": 404, "message": .string("there is no webhook \(id)")])
            }
            #expect(try await server.send("GET", "/events/webhooks").json == [])
        }
    }

    @Test func olderPathNeedsNoName() async throws {
        try await EventServer.run { server in
            let made = try await server.send("POST", "/events/webhooks/sandboxes", Self.creation(["name": .null]))
            #expect(made.status == 201)
            #expect(made.json["name"] == "sandboxes")
        }
    }

    @Test func refusedBodiesNameTheField() async throws {
        let long = String(repeating: "x", count: 600)
        let cases: [(body: JSONValue, message: String)] = [
            ([], "webhook is not an object but a array"),
            ("text", "webhook is not an object but a string"),
            (Self.creation(["name": .null]), "name is missing"),
            (Self.creation(["name": 5]), "webhook.name is not a string but a number"),
            (Self.creation(["name": .string(long)]), "name is longer than 128 bytes"),
            (Self.creation(["name": "a\u{7}b"]), "name holds a control character"),
            (Self.creation(["url": .null]), "url is missing"),
            (Self.creation(["url": "ftp://example.com/"]), "url is not an http or https URL"),
            (Self.creation(["url": "example.com/hook"]), "url is not an http or https URL"),
            (Self.creation(["url": "http:///hook"]), "url has no host"),
            (
                Self.creation(["url": "http://me:secret@example.com/"]),
                "url holds a user or a password, which everybody who lists webhooks would see"
            ),
            (Self.creation(["enabled": "yes"]), "webhook.enabled is not a boolean but a string"),
            (Self.creation(["events": .null]), "events is empty"),
            (Self.creation(["events": []]), "events is empty"),
            (Self.creation(["events": "all"]), "webhook.events is not an array but a string"),
            (Self.creation(["events": [1]]), "webhook.events is not an array of strings but a number"),
            (Self.creation(["events": ["created"]]), "events has the unknown type \"created\""),
            (Self.creation(["signatureSecret": .null]), "signatureSecret is missing"),
            (Self.creation(["signatureSecret": "short"]), "signatureSecret has not between 8 and 512 bytes"),
            (Self.creation(["signatureSecret": .string(long)]), "signatureSecret has not between 8 and 512 bytes"),
        ]
        try await EventServer.run { server in
            for (body, message) in cases {
                let answer = try await server.send("POST", "/events/webhooks", body)
                #expect(answer.status == 400, "\(body)")
                #expect(answer.json["code"] == 400)
                #expect(answer.json["message"]?.string?.hasPrefix(message) == true, "\(answer.json)")
                #expect(answer.json.description.contains("canary") == false)
            }
            for body in ["", "{", "{\"name\":", "nothing"] {
                let answer = try await server.send("POST", "/events/webhooks", body)
                #expect(answer.status == 400)
                #expect(answer.json["message"]?.string?.hasPrefix("the request body is not JSON") == true)
            }
            let flood = "\"" + String(repeating: "x", count: EventRoutes.maximumBody) + "\""
            #expect(try await server.send("POST", "/events/webhooks", flood).status == 413)
            #expect(try await server.send("GET", "/events/webhooks").json == [], "nothing came of any of them")
        }
    }

    @Test func refusedChangesChangeNothing() async throws {
        try await EventServer.run { server in
            let made = try await server.send("POST", "/events/webhooks", Self.creation).json
            let path = "/events/webhooks/\(made["id"]?.string ?? "")"
            let bodies: [JSONValue] = [
                ["name": ""], ["url": "gopher://x/"], ["events": []], ["events": ["no"]], ["signatureSecret": "x"],
                ["enabled": 1], ["name": "good", "url": "bad"],
            ]
            for body in bodies {
                #expect(try await server.send("PATCH", path, body).status == 400, "\(body)")
            }
            #expect(try await server.send("GET", path).json == made)
            #expect(try await server.send("PATCH", "/events/webhooks/no", "{}").status == 404)
        }
    }

    @Test func refusedQueriesNameTheParameter() async throws {
        try await EventServer.run { server in
            let made = try await server.send("POST", "/events/webhooks", Self.creation).json
            let webhook = "/events/webhooks/\(made["id"]?.string ?? "")"
            let cases = [
                ("/events/sandboxes?limit=0", "limit"), ("/events/sandboxes?limit=101", "limit"),
                ("/events/sandboxes?limit=x", "limit"), ("/events/sandboxes?offset=-1", "offset"),
                ("/events/sandboxes?limit=1&limit=2", "limit"), ("/events/sandboxes?orderAsc=maybe", "orderAsc"),
                ("/events/sandboxes?types=created", "types"),
                ("/events/sandboxes/i1?types=sandbox.lifecycle.killed,x", "types"),
                ("/events/sandboxes/stream?types=x", "types"),
                ("\(webhook)/deliveries?limit=0", "limit"), ("\(webhook)/deliveries?limit=101", "limit"),
                ("\(webhook)/deliveries?cursor=abc", "cursor"), ("\(webhook)/deliveries?cursor=-1", "cursor"),
                ("\(webhook)/deliveries?start=yesterday", "start"), ("\(webhook)/deliveries?end=5", "end"),
                ("\(webhook)/deliveries?deliveryStatus=lost", "deliveryStatus"),
                ("\(webhook)/deliveries?eventType=x", "eventType"),
                ("\(webhook)/stats?start=2027-01-02T00:00:00Z&end=2027-01-01T00:00:00Z", "start"),
            ]
            for (path, parameter) in cases {
                let answer = try await server.send("GET", path)
                #expect(answer.status == 400, "\(path)")
                #expect(answer.json["message"]?.string?.hasPrefix("\(parameter) ") == true, "\(answer.json)")
            }
            for path in ["deliveries", "stats"] {
                #expect(try await server.send("GET", "/events/webhooks/no/\(path)").status == 404)
            }
            #expect(try await server.send("POST", "\(webhook)/deliveries/no/redeliver").status == 404)
            _ = try await server.send("PATCH", webhook, ["enabled": false])
            let event = try server.happen()
            #expect(try await server.send("POST", "\(webhook)/deliveries/\(event)/redeliver").status == 409)
        }
    }

    @Test func eventsAreListedInCamelCase() async throws {
        try await EventServer.run { server in
            let first = try server.happen(.created, to: "i1")
            let second = try server.happen(.killed, to: "i2")
            let all = try await server.send("GET", "/events/sandboxes")
            #expect(all.status == 200)
            #expect(all.json.array?.compactMap { $0["id"]?.string } == [second, first])
            let expected: JSONValue = [
                "id": .string(first), "version": "v2", "type": "sandbox.lifecycle.created",
                "timestamp": "2027-01-15T08:00:00Z", "eventCategory": "lifecycle", "eventLabel": "create",
                "eventData": ["sandbox_metadata": ["a": "b"]], "sandboxId": "i1", "sandboxExecutionId": "x",
                "sandboxTemplateId": "base", "sandboxBuildId": "b",
                "sandboxTeamId": "00000000-0000-0000-0000-000000000000",
            ]
            func ids(_ query: String) async throws -> [String] {
                try await server.send("GET", "/events/sandboxes\(query)").json.array?.compactMap { $0["id"]?.string }
                    ?? []
            }
            #expect(try await server.send("GET", "/events/sandboxes/i1").json == [expected])
            #expect(try await ids("?orderAsc=true") == [first, second])
            #expect(try await ids("?limit=1&offset=1") == [first])
            #expect(try await ids("?types=sandbox.lifecycle.killed") == [second])
            let both = "sandbox.lifecycle.killed,sandbox.lifecycle.created"
            #expect(try await ids("?types=\(both)") == [second, first])
            #expect(try await ids("?types=sandbox.lifecycle.paused&types=sandbox.lifecycle.created") == [first])
            #expect(try await ids("/i9") == [])
        }
    }

    @Test func deliveriesAreToldPageByPageWithTheirAttempts() async throws {
        let receiver = try ScriptedHTTPServer { (_: ScriptedRequest) in ScriptedAnswer(200, "thanks") }
        defer { receiver.close() }
        let url = "\(receiver.url)/hook"
        try await EventServer.run { server in
            let made = try await server.send("POST", "/events/webhooks", Self.creation(["url": .string(url)])).json
            let id = try #require(made["id"]?.string)
            let events = try (0..<3).map { try server.happen(to: "i\($0)") }
            var page: JSONValue = .null
            // Each look is a request of its own, so this waits for the deliveries without a clock.
            while page["data"]?.array?.count != 3 {
                page = try await server.send("GET", "/events/webhooks/\(id)/deliveries").json
            }
            #expect(page["nextCursor"] == .null)
            #expect(page["data"]?.array?.compactMap { $0["eventId"]?.string } == events.reversed())
            let delivery = try #require(page["data"]?[0])
            #expect(delivery["eventType"] == "sandbox.lifecycle.created" && delivery["sandboxId"] == "i2")
            let attempt = try #require(delivery["attempts"]?[0])
            #expect(attempt["status"] == "success" && attempt["responseHttpStatusCode"] == 200)
            #expect(attempt["responseBody"] == "thanks" && attempt["requestUrl"] == .string(url))
            #expect(attempt["webhookId"] == .string(id) && attempt["eventId"] == .string(events[2]))
            #expect(attempt["errorClass"] == .null && attempt["timestamp"] == "2027-01-15T08:00:00Z")
            let body = try JSONValue(parsing: attempt["requestBody"]?.string ?? "")
            #expect(body["sandbox_id"] == "i2")
            let headers = try JSONValue(parsing: attempt["requestHeaders"]?.string ?? "")
            #expect(headers["e2b-delivery-id"] == attempt["id"] && headers["e2b-signature"] == "[redacted]")

            var seen: [String] = []
            var cursor: String? = ""
            while let next = cursor {
                let path = "/events/webhooks/\(id)/deliveries?limit=2&orderAsc=true&cursor=\(next)"
                let page = try await server.send("GET", path).json
                seen += page["data"]?.array?.compactMap { $0["eventId"]?.string } ?? []
                cursor = page["nextCursor"]?.string
            }
            #expect(seen == events)
            let none = try await server.send("GET", "/events/webhooks/\(id)/deliveries?deliveryStatus=failed").json
            #expect(none == ["data": [], "nextCursor": .null])

            let counts = try await server.send("GET", "/events/webhooks/\(id)/stats").json
            #expect(counts["total"] == 3 && counts["failed"] == 0 && counts["delivered"] == 3)
            #expect(counts["buckets"]?[0]?["timestamp"] == "2027-01-15T08:00:00Z")
            #expect(counts["buckets"]?[0]?["total"] == 3)
            let before = "start=2027-01-14T00:00:00Z&end=2027-01-15T08:00:00%2B00:00"
            #expect(try await server.send("GET", "/events/webhooks/\(id)/stats?\(before)").json["total"] == 0)

            let again = try await server.send("POST", "/events/webhooks/\(id)/deliveries/\(events[0])/redeliver")
            #expect(again.status == 202 && again.json["eventId"] == .string(events[0]))
            var total: JSONValue? = 3
            while total == 3 { total = try await server.send("GET", "/events/webhooks/\(id)/stats").json["total"] }
            #expect(total == 4)
        }
    }

    @Test func streamGoesOnFromTheLastEventThatWasSeen() async throws {
        try await EventServer.run { server in
            try server.happen(.created)
            try server.happen(.paused)
            let request = server.request(
                "GET", "/events/sandboxes/stream", headers: [("Last-Event-ID", "1")])
            let text = try await server.client.withResponse(request) { response in
                #expect(response.status == 200 && response.headers["Content-Type"] == "text/event-stream")
                var text = ""
                var hasMore = false
                for try await chunk in response.body {
                    text += String(decoding: chunk, as: UTF8.self)
                    if !hasMore, text.contains("id: 2\n") {
                        hasMore = true
                        try server.happen(.killed)
                    }
                    if text.contains("id: 3\n"), text.hasSuffix("\n\n") { break }
                }
                return text
            }
            #expect(!text.contains("id: 1\n"))
            #expect(text.contains("id: 2\nevent: sandbox.lifecycle.paused\ndata: {"))
            #expect(text.contains("id: 3\nevent: sandbox.lifecycle.killed\ndata: {"))
        }
    }
}
