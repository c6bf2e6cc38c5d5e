import CurlClient
import DeploymentCore
import E2BProtocol
import HostedSandboxes
import Testing

@testable import E2BServer

@Suite struct SandboxRouteTests {
    @Test func aLifeFromCreateToKill() async throws {
        try await ServedHost.with { served in
            let made = try await served.ask(
                "POST", "/v2/sandboxes",
                #"{"templateID":"base","timeout":100,"metadata":{"a":"b"},"envVars":{},"network":{"allowPublicTraffic":false}}"#
            )
            #expect(made.status == 201)
            #expect(made.headers["Content-Type"] == "application/json")
            let id = try #require(made.json["sandboxID"]?.string)
            #expect(made.json["clientID"] == "6532622b" && made.json["envdVersion"] == "0.6.13")
            #expect(made.json["templateID"] == "base" && made.json["alias"] == "base")
            #expect(made.json["domain"] == .null)
            let token = try #require(made.json["envdAccessToken"]?.string)
            #expect(made.json["trafficAccessToken"]?.string != nil)

            let got = try await served.ask("GET", "/sandboxes/\(id)-6532622b")
            #expect(got.status == 200)
            #expect(got.json["state"] == "running" && got.json["envdAccessToken"] == .string(token))
            #expect(got.json["lifecycle"] == ["autoResume": false, "onTimeout": "kill"])
            #expect(got.json["network"]?["allowPublicTraffic"] == false)

            #expect(try await served.ask("POST", "/sandboxes/\(id)/timeout", #"{"timeout":200}"#).status == 204)
            #expect(try await served.ask("POST", "/sandboxes/\(id)/refreshes", "{}").status == 204)
            #expect(try await served.ask("PUT", "/sandboxes/\(id)/network", #"{"denyOut":["8.8.8.8"]}"#).status == 204)
            #expect(try await served.ask("GET", "/sandboxes/\(id)/metrics").json == [])
            #expect(try await served.ask("POST", "/v2/sandboxes/\(id)/connect", "{}").status == 200)
            #expect(try await served.ask("POST", "/sandboxes/\(id)/pause").status == 204)
            #expect(try await served.ask("POST", "/sandboxes/\(id)/pause", "{}").status == 409)
            let again = try await served.ask("POST", "/sandboxes/\(id)/connect", #"{"timeout":60}"#)
            #expect(again.status == 201)
            #expect(again.json == made.json)
            #expect(try await served.ask("POST", "/sandboxes/\(id)/resume", "{}").status == 409)
            #expect(try await served.ask("POST", "/sandboxes/\(id)/pause", #"{"memory":true}"#).status == 204)
            #expect(try await served.ask("POST", "/sandboxes/\(id)/resume").status == 201)
            #expect(try await served.ask("DELETE", "/sandboxes/\(id)").status == 204)
            #expect(try await served.ask("DELETE", "/sandboxes/\(id)").status == 404)
            #expect(served.engine.specifications.withLock { $0.isEmpty })
        }
    }

    @Test func theFirstVersionIsOpenUnlessItSaysOtherwise() async throws {
        try await ServedHost.with { served in
            let open = try await served.ask("POST", "/sandboxes", #"{"templateID":"base"}"#)
            #expect(open.status == 201)
            #expect(open.json["envdAccessToken"] == nil)
            let secure = try await served.ask(
                "POST", "/sandboxes", #"{"templateID":"base","secure":true,"allow_internet_access":true}"#)
            #expect(secure.json["envdAccessToken"]?.string != nil)
        }
    }

    @Test func theListPagesAndFilters() async throws {
        try await ServedHost.with { served in
            let tagged = try await served.make(#"{"templateID":"base","metadata":{"k":"v 1"}}"#)
            for _ in 0..<2 { _ = try await served.make() }
            let paused = try await served.make()
            _ = try await served.ask("POST", "/sandboxes/\(paused)/pause")
            let found = try await served.ask("GET", "/v2/sandboxes?metadata=k%3Dv%2525201")
            #expect(found.json.array?.compactMap { $0["sandboxID"]?.string } == [tagged])
            #expect(found.headers["X-Total-Running"] == "1")
            let first = try await served.ask("GET", "/v2/sandboxes?limit=3&state=running,paused")
            #expect(first.json.array?.count == 3)
            #expect(first.headers["X-Total-Running"] == "3")
            let token = try #require(first.headers["X-Next-Token"])
            let second = try await served.ask("GET", "/v2/sandboxes?limit=3&nextToken=\(token)")
            #expect(second.json.array?.count == 1)
            #expect(second.headers["X-Next-Token"] == nil)
            #expect(try await served.ask("GET", "/v2/sandboxes?state=paused").json.array?.count == 1)
            #expect(try await served.ask("GET", "/sandboxes").json.array?.count == 3)
            let row = try #require(first.json[0])
            #expect(row["endAt"]?.string != nil && row["envdAccessToken"] == nil && row["diskSizeMB"] != nil)
        }
    }

    @Test func whatHappenedIsInTheLog() async throws {
        try await ServedHost.with { served in
            let id = try await served.make()
            let second = try await served.ask("GET", "/v2/sandboxes/\(id)/logs?direction=forward&level=info")
            #expect(second.json["logs"]?[0]?["message"] == "the sandbox was made from base")
            #expect(second.json["logs"]?[0]?["level"] == "info")
            let first = try await served.ask("GET", "/sandboxes/\(id)/logs?limit=1")
            #expect(first.json["logs"]?[0]?["line"] == "the sandbox was made from base")
            #expect(first.json["logEntries"]?.array?.count == 1)
            let measured = try await served.ask("GET", "/sandboxes/metrics?sandbox_ids=\(id),nobody")
            #expect(measured.json == ["sandboxes": [:]])
        }
    }

    @Test func aKeyMakesARepeatedCreationTheSame() async throws {
        try await ServedHost.with { served in
            func create(_ body: String, _ key: String) async throws -> Answer {
                try await served.ask(
                    "POST", "/v2/sandboxes", body,
                    headers: [("X-API-KEY", ServedHost.key), ("Idempotency-Key", key)])
            }
            let body = #"{"templateID":"base"}"#
            let first = try await create(body, "a-1")
            #expect(try await create(body, "a-1").json == first.json)
            #expect(try await create(body, "b-1").json != first.json)
            #expect(try await create(#"{"templateID":"base","timeout":9}"#, "a-1").status == 409)
            #expect(try await create(body, "A_1").status == 400)
        }
    }
}
