import DeploymentCore
import Foundation
import Glibc
import Testing

@Suite struct MetadataTests {
    private static let binary = ["Content-Type": "application/octet-stream"]

    private func upload(
        _ connection: TestConnection, _ headers: [String: String]
    ) throws -> TestConnection.Response {
        try connection.request(
            "POST", "/files?path=f", Self.binary.merging(headers) { $1 }, body: Data("content".utf8))
    }

    private func stored(_ connection: TestConnection) throws -> JSONValue? {
        try connection.call("filesystem.Filesystem/Stat", ["path": "f"]).json["entry"]?["metadata"]
    }

    @Test func metadataIsStoredReplacedAndRemoved() async throws {
        try await withAgent { agent in
            let connection = try agent.connect()
            let first = try upload(connection, ["X-Metadata-Author": "me & you", "x-metadata-b": ""])
            // Not every filesystem keeps attributes of users.
            guard first.status == 200 else {
                #expect(first.status == 500)
                #expect(access("\(agent.folder)/f", F_OK) != 0)
                return
            }
            #expect(first.json[0]?["metadata"] == ["author": "me & you", "b": ""])
            #expect(try stored(connection) == ["author": "me & you", "b": ""])
            symlink("f", "\(agent.folder)/link")
            let link = try connection.call("filesystem.Filesystem/Stat", ["path": "link"]).json["entry"]
            #expect(link?["metadata"]?["author"] == "me & you")
            #expect(try upload(connection, ["X-Metadata-C": "3"]).status == 200)
            #expect(try stored(connection) == ["c": "3"])
            #expect(try upload(connection, [:]).json[0]?["metadata"] == nil)
            #expect(try stored(connection) == nil)
        }
    }

    @Test func metadataHasLimits() async throws {
        try await withAgent { agent in
            let connection = try agent.connect()
            let wrong: [[String: String]] = [
                ["X-Metadata-": "x"], ["X-Metadata-\(String(repeating: "k", count: 247))": "x"],
                ["X-Metadata-a": "é"], ["X-Metadata-a": "x\u{7F}"], ["X-Metadata-é": "x"],
                ["X-Metadata-a": String(repeating: "v", count: 4096)],
            ]
            for headers in wrong { #expect(try upload(connection, headers).status == 400) }
            #expect(access("\(agent.folder)/f", F_OK) != 0)
        }
    }

    @Test func partsAreOfTheVersionThatIsKnown() async throws {
        try await withAgent { agent in
            let connection = try agent.connect()
            try Data("0123456789".utf8).write(to: URL(filePath: "\(agent.folder)/f"))
            var times = [timespec(tv_sec: 784_111_777, tv_nsec: 0), timespec(tv_sec: 784_111_777, tv_nsec: 0)]
            utimensat(AT_FDCWD, "\(agent.folder)/f", &times, 0)
            let date = "Sun, 06 Nov 1994 08:49:37 GMT"
            #expect(try connection.request("GET", "/files?path=f").headers["last-modified"] == date)
            let range = ["Range": "bytes=8-"]
            let same = try connection.request("GET", "/files?path=f", range.merging(["If-Range": date]) { $1 })
            #expect(same.status == 206)
            #expect(same.body == Data("89".utf8))
            let other = try connection.request("GET", "/files?path=f", range.merging(["If-Range": "\"tag\""]) { $1 })
            #expect(other.status == 200)
            #expect(other.body.count == 10)
        }
    }

    @Test func filesAreJoined() async throws {
        try await withAgent { agent in
            let connection = try agent.connect()
            var whole = Data()
            for (name, count) in [("a", 3_000_000), ("b", 0), ("c", 5)] {
                let part = Data(repeating: UInt8(name.utf8.first ?? 0), count: count)
                try part.write(to: URL(filePath: "\(agent.folder)/\(name)"))
                whole += part
            }
            func compose(_ message: JSONValue) throws -> TestConnection.Response {
                try connection.request(
                    "POST", "/files/compose", ["Content-Type": "application/json"], body: Data(message.encoded()))
            }
            for wrong: JSONValue in [
                ["source_paths": ["a", "none"], "destination": "d"], ["source_paths": [], "destination": "d"],
                ["source_paths": ["a", "a"], "destination": "d"], ["source_paths": ["a", "b"], "destination": "b"],
                ["source_paths": ["~"], "destination": "d"], ["source_paths": ["a"]], ["destination": 7], [],
            ] {
                #expect([400, 404].contains(try compose(wrong).status))
            }
            #expect(access("\(agent.folder)/d", F_OK) != 0)
            let stranger: JSONValue = ["source_paths": ["a"], "destination": "d", "username": "other"]
            #expect(try compose(stranger).status == 401)
            let made = try compose(["source_paths": ["a", "b", "c"], "destination": "x/whole"])
            #expect(made.json["path"] == .string("\(agent.folder)/x/whole"))
            #expect(try Data(contentsOf: URL(filePath: "\(agent.folder)/x/whole")) == whole)
            for name in ["a", "b", "c"] { #expect(access("\(agent.folder)/\(name)", F_OK) != 0) }
        }
    }
}
