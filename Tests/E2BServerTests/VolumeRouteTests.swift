import DeploymentCore
import E2BProtocol
import HostedSandboxes
import Sandboxes
import Testing

@Suite struct VolumeRouteTests {
    private static func creation(_ mounts: String) -> String { #"{"templateID":"base","volumeMounts":[\#(mounts)]}"# }

    @Test func volumesAreMadeFoundListedAndRemoved() async throws {
        try await ServedHost.with { served in
            #expect(try await served.ask("GET", "/volumes").json == [])
            let made = try await served.ask("POST", "/volumes", #"{"name":"my-data_1"}"#)
            #expect(made.status == 201 && made.json["name"] == "my-data_1")
            let id = try #require(made.json["volumeID"]?.string)
            #expect(made.json["token"]?.string?.count == 64)
            let listed = try await served.ask("GET", "/volumes")
            #expect(listed.json == [["volumeID": .string(id), "name": "my-data_1"]])
            #expect(try await served.ask("GET", "/volumes/\(id)").json == made.json)
            #expect(try await served.ask("DELETE", "/volumes/\(id)").status == 204)
            for method in ["GET", "DELETE"] {
                #expect(try await served.ask(method, "/volumes/\(id)").status == 404)
            }
        }
    }

    @Test func namesAreCheckedAndUnique() async throws {
        try await ServedHost.with { served in
            let long = String(repeating: "x", count: 129)
            for name in ["", "a/b", "a b", "ü", "..", long] {
                let answer = try await served.ask("POST", "/volumes", #"{"name":"\#(name)"}"#)
                #expect(answer.status == 400 && answer.json["code"] == 400, "\(name)")
            }
            #expect(try await served.ask("POST", "/volumes", "{}").status == 400)
            #expect(try await served.ask("POST", "/volumes", #"{"name":"one"}"#).status == 201)
            let again = try await served.ask("POST", "/volumes", #"{"name":"one"}"#)
            #expect(again.status == 400)
            #expect(again.json["message"]?.string?.contains("'one' already exists") == true)
            let stranger = try await served.ask("GET", "/volumes", headers: [])
            #expect(stranger.status == 401)
        }
    }

    @Test func contentsAskForTheTokenOfTheirOwnVolume() async throws {
        try await ServedHost.with { served in
            let (one, two) = (try await served.volumes.create("one"), try await served.volumes.create("two"))
            let target = "/volumecontent/\(one.volume)/path"
            let wrong = [
                [], [("X-API-KEY", ServedHost.key)], [("Authorization", "Bearer ")],
                [("Authorization", "Bearer \(ServedHost.key)")], [("Authorization", "Bearer \(two.token ?? "")")],
                [("Authorization", one.token ?? "")],
            ]
            for headers in wrong {
                let answer = try await served.ask("GET", target + "?path=/", headers: headers)
                #expect(answer.status == 401 && answer.json["code"] == "UNAUTHORIZED", "\(headers)")
            }
            let right = [(name: "Authorization", value: "Bearer \(one.token ?? "")")]
            for query in ["", "?path=", "?path=%00"] {
                let answer = try await served.ask("GET", target + query, headers: right)
                #expect(answer.status == 400 && answer.json["code"] == "INVALID_PATH", "\(query)")
            }
            let mode = try await served.ask(
                "POST", "/volumecontent/\(one.volume)/dir?path=/a&mode=99999", headers: right)
            #expect(mode.status == 400 && mode.json["message"]?.string?.contains("mode") == true)
            try await served.volumes.remove(one.volume)
            let gone = try await served.ask("GET", target + "?path=/", headers: right)
            #expect(gone.status == 404 && gone.json["code"] == "VOLUME_NOT_FOUND")
        }
    }

    @Test func whatASandboxMountsIsShownAndStays() async throws {
        try await ServedHost.with { served in
            let volume = try await served.volumes.create("shared")
            let body = Self.creation(#"{"name":"shared","path":"/mnt/data"}"#)
            let sandbox = try await served.make(body)
            let mounts = served.engine.specifications.withLock { $0[sandbox]?.volumes }
            #expect(mounts?.map(\.target) == ["/mnt/data"])
            #expect(mounts?.first?.source.hasSuffix("/volumes/\(volume.volume)") == true)
            let information = try await served.ask("GET", "/sandboxes/\(sandbox)")
            #expect(information.json["volumeMounts"] == [["name": "shared", "path": "/mnt/data"]])
            let refused = try await served.ask("DELETE", "/volumes/\(volume.volume)")
            #expect(refused.status == 409)
            #expect(refused.json["message"]?.string?.contains(sandbox) == true)
            #expect(try await served.ask("DELETE", "/sandboxes/\(sandbox)").status == 204)
            #expect(try await served.ask("DELETE", "/volumes/\(volume.volume)").status == 204)
            let unknown = try await served.ask("POST", "/v2/sandboxes", body)
            #expect(unknown.status == 400)
            #expect(unknown.json["message"]?.string?.contains("no volume 'shared'") == true)
            #expect(served.engine.specifications.withLock { $0.isEmpty })
        }
    }
}
