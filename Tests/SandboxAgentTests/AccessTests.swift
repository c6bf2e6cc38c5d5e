import DeploymentCore
import E2BProtocol
import Foundation
import Testing

@Suite struct AccessTests {
    private static let token = "secret-token"
    private static let binary = ["Content-Type": "application/octet-stream"]

    @discardableResult
    private func initialise(
        _ connection: TestConnection, _ message: JSONValue, _ headers: [String: String] = [:]
    ) throws -> Int {
        let headers = headers.merging(["Content-Type": "application/json"]) { $1 }
        return try connection.request("POST", "/init", headers, body: Data(message.encoded())).status
    }

    private func query(_ parameters: [String: String]) -> String {
        let pairs = parameters.map { name, value in
            "\(name)=\(value.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? "")"
        }
        return "/files?" + pairs.joined(separator: "&")
    }

    @Test func tokenIsAskedForOnceItIsSet() async throws {
        // The agent's own health is asked without it to the end.
        try await withAgent { agent in
            let connection = try agent.connect()
            #expect(try connection.request("GET", "/metrics").status == 200)
            #expect(try initialise(connection, ["accessToken": .string(Self.token)]) == 204)
            let json = ["Content-Type": "application/json"]
            for path in ["/process.Process/List", "/files/compose", "/none"] {
                let response = try connection.request("POST", path, json, body: Data("{}".utf8))
                #expect(response.status == 401)
                #expect(response.json["code"] == 401)
            }
            for path in ["/metrics", "/envs", "/files?path=x", "/berth/listeners"] {
                #expect(try connection.request("GET", path).status == 401)
                for wrong in ["", "secret-tokem", "secret-toke", "secret-token2"] {
                    #expect(try connection.request("GET", path, ["X-Access-Token": wrong]).status == 401)
                }
            }
            #expect(try connection.request("GET", "/metrics", ["X-Access-Token": Self.token]).status == 200)
            #expect(try connection.request("GET", "/health").status == 204)
        }
    }

    @Test func tokenIsChangedByItsOwnerOnly() async throws {
        try await withAgent { agent in
            let connection = try agent.connect()
            let owner = ["X-Access-Token": Self.token]
            #expect(try initialise(connection, ["accessToken": .string(Self.token)]) == 204)
            #expect(try initialise(connection, ["accessToken": "other"]) == 401)
            #expect(try initialise(connection, [:]) == 401)
            #expect(try initialise(connection, ["accessToken": .string(Self.token), "envVars": ["A": "1"]]) == 204)
            #expect(try initialise(connection, ["accessToken": "other"], owner) == 204)
            #expect(try connection.request("GET", "/envs", owner).status == 401)
            #expect(try initialise(connection, [:], ["X-Access-Token": "other"]) == 204)
            #expect(try connection.request("GET", "/envs").json == ["A": "1"])
        }
    }

    @Test func initGivesVariablesAndFolderAndTheLaterOneWins() async throws {
        try await withAgent(["--env", "A=agent", "--env", "B=agent"]) { agent in
            let connection = try agent.connect()
            try connection.call("filesystem.Filesystem/MakeDir", ["path": "work"])
            let later: JSONValue = [
                "envVars": ["A": "init", "C": "init"], "timestamp": "2026-01-02T00:00:00Z", "defaultUser": "user",
                "defaultWorkdir": "work",
            ]
            #expect(try initialise(connection, later) == 204)
            #expect(try initialise(connection, ["envVars": [:], "timestamp": "2026-01-01T00:00:00Z"]) == 204)
            #expect(try connection.request("GET", "/envs").json == ["A": "init", "C": "init"])
            try connection.start("echo $A $B $C $D; pwd", environment: ["C": "request", "D": "request"])
            #expect(
                try connection.rest().stdout
                    == Data("init agent request request\n\(agent.folder)/work\n".utf8))
            for wrong: JSONValue in [
                ["envVars": ["": "x"]], ["envVars": ["a=b": "x"]], ["envVars": ["a": "\u{0}"]], ["envVars": []],
                ["envVars": ["a": 1]], ["timestamp": "yesterday"], ["accessToken": 7], ["defaultUser": "root"],
                ["volumeMounts": [["nfs_target": "x", "path": "/y"]]], ["defaultWorkdir": "~other"], [],
                ["envVars": ["a": .string(String(repeating: "x", count: 2 << 20))]],
            ] {
                #expect([400, 401].contains(try initialise(connection, wrong)))
            }
            #expect(try connection.request("GET", "/envs").json == ["A": "init", "C": "init"])
        }
    }

    @Test func signaturesPermitOneOperationOnOnePath() async throws {
        try await withAgent { agent in
            let connection = try agent.connect()
            #expect(try initialise(connection, ["accessToken": .string(Self.token)]) == 204)
            let body = Data("content".utf8)
            let write = FileSignature.make(path: "a b", .write, token: Self.token)
            let read = FileSignature.make(path: "a b", .read, user: "user", token: Self.token)
            let written = try connection.request(
                "POST", query(["path": "a b", "signature": write]), Self.binary, body: body)
            #expect(written.status == 200)
            let good = query(["path": "a b", "signature": read, "username": "user"])
            #expect(try connection.request("GET", good).body == body)
            let future = Int64(Date().timeIntervalSince1970) + 600
            let timed = FileSignature.make(path: "a b", .read, token: Self.token, expiration: future)
            let expiring = query(["path": "a b", "signature": timed, "signature_expiration": "\(future)"])
            #expect(try connection.request("GET", expiring).status == 200)

            let past = FileSignature.make(path: "a b", .read, token: Self.token, expiration: 1000)
            for (parameters, message) in [
                (["path": "a b"], "missing signature query parameter"),
                (["path": "a b", "signature": read], "invalid signature"),
                (["path": "a b", "signature": write, "username": ""], "invalid signature"),
                (["path": "a", "signature": read, "username": "user"], "invalid signature"),
                (["path": "a b", "signature": timed], "invalid signature"),
                (["path": "a b", "signature": timed, "signature_expiration": "\(future + 1)"], "invalid signature"),
                (["path": "a b", "signature": timed, "signature_expiration": "soon"], "invalid signature"),
                (["path": "a b", "signature": past, "signature_expiration": "1000"], "signature is already expired"),
            ] {
                let response = try connection.request("GET", query(parameters))
                #expect(response.status == 401)
                #expect(response.json["message"] == .string(message))
            }
            let both = try connection.request("GET", good, ["X-Access-Token": "wrong"])
            #expect(both.status == 401)
        }
    }

    @Test func metricsTellWhatIsUsed() async throws {
        try await withAgent { agent in
            let connection = try agent.connect()
            let runner = try agent.connect()
            try runner.start("echo ready; while :; do :; done")
            try runner.await("ready")
            var metrics = try connection.request("GET", "/metrics").json
            // The share of the processor is of the time since the question before.
            while (metrics["cpu_used_pct"]?.double ?? 0) == 0 {
                metrics = try connection.request("GET", "/metrics").json
            }
            #expect((metrics["cpu_used_pct"]?.double ?? 101) <= 100)
            #expect((metrics["cpu_count"]?.integer ?? 0) >= 1)
            for (smaller, larger) in [("mem_used", "mem_total"), ("disk_used", "disk_total")] {
                let used = metrics[smaller]?.integer ?? 0
                #expect(used > 0)
                #expect(used <= metrics[larger]?.integer ?? 0)
            }
            #expect(metrics["mem_total_mib"]?.integer == (metrics["mem_total"]?.integer ?? 0) >> 20)
            #expect(metrics["mem_used_mib"]?.integer != nil)
            #expect(metrics["mem_cache"]?.integer != nil)
            #expect(abs((metrics["ts"]?.integer ?? 0) - Int64(Date().timeIntervalSince1970)) < 60)
        }
    }
}
