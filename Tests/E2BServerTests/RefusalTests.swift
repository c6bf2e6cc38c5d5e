import CurlClient
import DeploymentCore
import E2BProtocol
import HostedSandboxes
import Testing

@testable import E2BServer

@Suite struct RefusalTests {
    /// A request that is refused; `ID` stands for a sandbox that runs.
    struct Refused: Sendable, CustomStringConvertible {
        let method: String
        let target: String
        let body: String?
        let status: Int
        /// What the message has to say.
        let saying: String

        init(_ method: String, _ target: String, _ status: Int, _ saying: String = "") {
            self.init(method, target, nil, status, saying)
        }

        init(_ method: String, _ target: String, _ body: String?, _ status: Int, _ saying: String = "") {
            self.method = method
            self.target = target
            self.body = body
            self.status = status
            self.saying = saying
        }

        var description: String { "\(method) \(target) \(body ?? "")" }
    }

    static let table = [
        Refused("POST", "/v2/sandboxes", "{", 400, "not JSON"), Refused("POST", "/v2/sandboxes", "[]", 400),
        Refused("POST", "/v2/sandboxes", "{}", 400, "templateID"),
        Refused("POST", "/v2/sandboxes", #"{"templateID":"nothing"}"#, 404, "nothing"),
        Refused("POST", "/v2/sandboxes", #"{"templateID":"base","timeout":0}"#, 400, "Timeout must be greater than 0"),
        Refused("POST", "/v2/sandboxes", #"{"templateID":"base","timeout":99999}"#, 400, "24 hours"),
        Refused("POST", "/v2/sandboxes", #"{"templateID":"base","timeout":"x"}"#, 400, "timeout"),
        Refused("POST", "/v2/sandboxes", #"{"templateID":"base","mcp":{"a":{}}}"#, 400, "mcp"),
        Refused(
            "POST", "/v2/sandboxes", #"{"templateID":"base","volumeMounts":[{"name":"v","path":"/v"}]}"#, 400,
            "volumeMounts"),
        Refused("POST", "/sandboxes", #"{"templateID":"base","network":{"allowPublicTraffic":false}}"#, 400, "secure"),
        Refused("GET", "/sandboxes/nobody", 404, #"sandbox "nobody" doesn't exist"#),
        Refused("GET", "/sandboxes/a-b-c", 400), Refused("GET", "/sandboxes/UPPER", 400),
        Refused("GET", "/sandboxes/%41", 400), Refused("DELETE", "/sandboxes/nobody", 404),
        Refused("POST", "/sandboxes/nobody/timeout", #"{"timeout":1}"#, 404),
        Refused("POST", "/sandboxes/ID/timeout", "{}", 400, "timeout is missing"),
        Refused("POST", "/sandboxes/ID/timeout", #"{"timeout":-1}"#, 400, "Timeout"),
        Refused("POST", "/sandboxes/ID/timeout", #"{"timeout":1.5}"#, 400, "whole number"),
        Refused("POST", "/sandboxes/ID/refreshes", #"{"duration":3601}"#, 400, "3600"),
        Refused("POST", "/sandboxes/nobody/pause", "{}", 404),
        Refused("POST", "/sandboxes/ID/pause", #"{"memory":"no"}"#, 400, "memory"),
        Refused("POST", "/sandboxes/ID/resume", "{}", 409, "already running"),
        Refused("POST", "/sandboxes/ID/connect", "{}", 400, "timeout is missing"),
        Refused("POST", "/v2/sandboxes/ID/connect", #"{"timeout":0}"#, 400, "Timeout"),
        Refused("POST", "/v2/sandboxes/nobody/connect", "{}", 404),
        Refused("PUT", "/sandboxes/ID/network", #"{"egressProxy":{"address":"a:1"}}"#, 400, "egressProxy"),
        Refused("PUT", "/sandboxes/ID/network", #"{"allowPublicTraffic":true}"#, 400, "allowPublicTraffic"),
        Refused("PUT", "/sandboxes/ID/network", #"{"allowOut":["example.com"]}"#, 400, "0.0.0.0/0"),
        Refused("GET", "/sandboxes/nobody/metrics", 404), Refused("GET", "/sandboxes/ID/metrics?start=x", 400, "start"),
        Refused("GET", "/sandboxes/metrics", 400, "sandbox_ids"), Refused("GET", "/sandboxes/nobody/logs", 404),
        Refused("GET", "/v2/sandboxes/nobody/logs", 404),
        Refused("GET", "/v2/sandboxes/ID/logs?level=loud", 400, "level"),
        Refused("GET", "/v2/sandboxes?limit=0", 400, "limit"), Refused("GET", "/v2/sandboxes?limit=101", 400, "limit"),
        Refused("GET", "/v2/sandboxes?state=asleep", 400, "state"),
        Refused("GET", "/v2/sandboxes?nextToken=zzz", 400, "nextToken"),
        Refused("GET", "/v2/sandboxes?order=up", 400, "order"),
        Refused("GET", "/v2/sandboxes?startedAfter=yesterday", 400, "startedAfter"),
        Refused("GET", "/v2/sandboxes?metadata=novalue", 400, "metadata"),
        Refused("GET", "/nothing/here", 404, "/nothing/here"), Refused("PATCH", "/v2/sandboxes", "{}", 404),
    ]

    @Test func everyRefusalHasItsStatusAndTheOrdinaryBody() async throws {
        try await ServedHost.with { served in
            let id = try await served.make()
            for refused in Self.table {
                let target = refused.target.replacing("ID", with: id)
                let answer = try await served.ask(refused.method, target, refused.body)
                #expect(answer.status == refused.status, "\(refused)")
                #expect(answer.headers["Content-Type"] == "application/json", "\(refused)")
                #expect(answer.json["code"] == .integer(Int64(refused.status)), "\(refused)")
                let message = answer.json["message"]?.string ?? ""
                #expect(!message.isEmpty && message.contains(refused.saying), "\(refused): \(message)")
            }
            #expect(try await served.ask("GET", "/sandboxes/\(id)").json["state"] == "running")
        }
    }

    @Test func nobodyGetsInWithoutTheKey() async throws {
        try await ServedHost.with { served in
            let wrong = String(ServedHost.key.dropLast()) + "8"
            let strangers: [[(name: String, value: String)]] = [
                [], [("X-API-KEY", "")], [("X-API-KEY", wrong)], [("X-API-KEY", ServedHost.key + "0")],
                [("Authorization", "Bearer \(wrong)")], [("Authorization", ServedHost.key)],
                [("X-API-KEY", wrong), ("Authorization", "Bearer \(ServedHost.key)")],
            ]
            for headers in strangers {
                for (method, target) in [("GET", "/v2/sandboxes"), ("POST", "/v2/sandboxes"), ("GET", "/nothing")] {
                    let answer = try await served.ask(method, target, headers: headers)
                    #expect(answer.status == 401, "\(headers) \(target)")
                    #expect(answer.json["code"] == 401)
                }
            }
            for headers in [[("x-api-key", ServedHost.key)], [("Authorization", "Bearer \(ServedHost.key)")]] {
                #expect(try await served.ask("GET", "/v2/sandboxes", headers: headers).status == 200)
            }
            #expect(try await served.ask("GET", "/health", headers: []).status == 200)
            #expect(try await served.ask("POST", "/health", headers: []).status == 401)
        }
    }

    @Test func aLimitSaysWhetherToTryAgain() async throws {
        try await ServedHost.with(HostedSettings(maximumSandboxes: 1, creationsPerSecond: 1)) { served in
            let id = try await served.make()
            let full = try await served.ask("POST", "/v2/sandboxes", #"{"templateID":"base"}"#)
            #expect(full.status == 429)
            #expect(full.headers["Should-Retry"] == "false")
            #expect(full.json["message"]?.string?.contains("maximum number of concurrent sandboxes (1)") ?? false)
            _ = try await served.ask("DELETE", "/sandboxes/\(id)")
        }
        try await ServedHost.with(HostedSettings(creationsPerSecond: 1)) { served in
            var fast: Answer?
            // One of two in the same second is too many; the clock decides which.
            for _ in 0..<50 where fast == nil {
                let answer = try await served.ask("POST", "/v2/sandboxes", #"{"templateID":"base"}"#)
                if answer.status == 429 { fast = answer }
            }
            let refused = try #require(fast)
            #expect(refused.headers["Should-Retry"] == "true")
            #expect(refused.headers["Retry-After"] == "1")
            #expect(refused.headers["RateLimit-Limit"] == "1")
            #expect(refused.headers["RateLimit-Remaining"] == "0")
            #expect(refused.headers["RateLimit-Reset"] == "1")
        }
    }

    @Test func aBodyHasALimit() async throws {
        try await ServedHost.with { served in
            let long = #"{"templateID":""# + String(repeating: "x", count: (1 << 20) + 1) + #""}"#
            let answer = try await served.ask("POST", "/v2/sandboxes", long)
            #expect(answer.status == 413)
        }
    }

    @Test(arguments: [
        ("team%2Fsnap1%3Adefault", "team/snap1:default"), ("a+b", "a+b"), ("%C3%A4", "ä"), ("%zz", "%zz"),
    ])
    func aSegmentMayHoldASlash(_ segment: String, _ name: String) async throws {
        try await ServedHost.with { served in
            let answer = try await served.ask("GET", "/echo/\(segment)")
            #expect(answer.json["name"] == .string(name))
        }
    }
}
