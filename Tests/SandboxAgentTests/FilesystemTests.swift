import DeploymentCore
import Foundation
import Glibc
import Testing

@Suite struct FilesystemTests {
    private func call(_ connection: TestConnection, _ method: String, _ message: JSONValue) throws -> (Int, JSONValue) {
        let response = try connection.call("filesystem.Filesystem/\(method)", message)
        return (response.status, response.json)
    }

    private func write(_ path: String, _ agent: RunningAgent) throws {
        try Data("12345".utf8).write(to: URL(filePath: "\(agent.folder)/\(path)"))
        chmod("\(agent.folder)/\(path)", 0o640)
    }

    @Test func fileIsDescribed() async throws {
        try await withAgent { agent in
            try write("f", agent)
            let (status, json) = try call(try agent.connect(), "Stat", ["path": "f"])
            #expect(status == 200)
            let entry = json["entry"]
            #expect(entry?["name"] == "f")
            #expect(entry?["type"] == "FILE_TYPE_FILE")
            #expect(entry?["path"] == .string("\(agent.folder)/f"))
            #expect(entry?["size"] == "5")
            #expect(entry?["mode"] == 0o640)
            #expect(entry?["permissions"] == "-rw-r-----")
            #expect(entry?["owner"] == .string(NSUserName().isEmpty ? "\(getuid())" : NSUserName()))
            let time = try #require(entry?["modifiedTime"]?.string)
            let formatter = ISO8601DateFormatter()
            formatter.formatOptions =
                time.contains(".") ? [.withInternetDateTime, .withFractionalSeconds] : [.withInternetDateTime]
            #expect(abs(try #require(formatter.date(from: time)).timeIntervalSinceNow) < 3600)
        }
    }

    @Test func linksShowTheirTarget() async throws {
        try await withAgent { agent in
            try write("f", agent)
            symlink("f", "\(agent.folder)/link")
            symlink("nowhere", "\(agent.folder)/broken")
            let connection = try agent.connect()
            let link = try call(connection, "Stat", ["path": "~/link"]).1["entry"]
            #expect(link?["type"] == "FILE_TYPE_FILE")
            #expect(link?["permissions"] == "Lrw-r-----")
            #expect(link?["symlinkTarget"]?.string?.hasSuffix("/f") == true)
            let broken = try call(connection, "Stat", ["path": "broken"]).1["entry"]
            #expect(broken?["type"] == "FILE_TYPE_SYMLINK")
            #expect(broken?["symlinkTarget"] == .string("\(agent.folder)/broken"))
        }
    }

    @Test func foldersAreMadeOnce() async throws {
        try await withAgent { agent in
            try write("f", agent)
            let connection = try agent.connect()
            let made = try call(connection, "MakeDir", ["path": "a/b/c"])
            #expect(made.1["entry"]?["permissions"] == "drwxr-xr-x")
            #expect(try call(connection, "MakeDir", ["path": "a/b"]).1["code"] == "already_exists")
            #expect(try call(connection, "MakeDir", ["path": "f"]).1["code"] == "invalid_argument")
            #expect(try call(connection, "MakeDir", ["path": "f/x"]).1["code"] == "invalid_argument")
        }
    }

    @Test func listingGoesAsDeepAsAsked() async throws {
        try await withAgent(["--workdir", "/proc"]) { agent in
            let connection = try agent.connect()
            for path in ["d/b/x/y", "d/a"] { _ = try call(connection, "MakeDir", ["path": .string(path)]) }
            try write("d/c", agent)
            symlink("b", "\(agent.folder)/d/link")
            symlink("d", "\(agent.folder)/root")
            func names(_ path: String, _ depth: Int64) throws -> [String] {
                let entries = try call(connection, "ListDir", ["path": .string(path), "depth": .integer(depth)]).1[
                    "entries"]
                return entries?.array?.compactMap {
                    $0["path"]?.string.map { String($0.dropFirst(agent.folder.count + 1)) }
                } ?? []
            }
            #expect(try names("d", 0) == ["d/a", "d/b", "d/c", "d/link"])
            #expect(try names("d", 2) == ["d/a", "d/b", "d/b/x", "d/c", "d/link"])
            #expect(try names("d", 4_000_000) == ["d/a", "d/b", "d/b/x", "d/b/x/y", "d/c", "d/link"])
            #expect(try names("root", 1) == ["root/a", "root/b", "root/c", "root/link"])
            #expect(try call(connection, "ListDir", ["path": "d/c"]).1["code"] == "invalid_argument")
            #expect(try call(connection, "ListDir", ["path": "none"]).0 == 404)
            // Empty is the working directory, not the home folder.
            let working = try call(connection, "ListDir", ["path": ""]).1["entries"]?.array
            #expect(working?.contains { $0["path"] == "/proc/self" } == true)
        }
    }

    @Test func movingMakesTheFoldersAbove() async throws {
        try await withAgent { agent in
            try write("f", agent)
            let connection = try agent.connect()
            let moved = try call(connection, "Move", ["source": "f", "destination": "x/y/g"])
            #expect(moved.1["entry"]?["path"] == .string("\(agent.folder)/x/y/g"))
            #expect(try call(connection, "Move", ["source": "f", "destination": "h"]).1["code"] == "not_found")
        }
    }

    @Test func removingIsRecursiveAndDoesNotFollowLinks() async throws {
        try await withAgent { agent in
            let connection = try agent.connect()
            _ = try call(connection, "MakeDir", ["path": "keep"])
            _ = try call(connection, "MakeDir", ["path": "tree/a/b"])
            try write("keep/f", agent)
            symlink("../keep", "\(agent.folder)/tree/link")
            #expect(try call(connection, "Remove", ["path": "tree"]).0 == 200)
            #expect(access("\(agent.folder)/tree", F_OK) != 0)
            #expect(access("\(agent.folder)/keep/f", F_OK) == 0)
            #expect(try call(connection, "Remove", ["path": "tree"]).0 == 200)
            for path in ["/", "~", "/../.", "\(agent.folder)/keep/.."] {
                #expect(try call(connection, "Remove", ["path": .string(path)]).1["code"] == "invalid_argument")
            }
        }
    }

    @Test(arguments: ["a\u{0}b", "~nobody", String(repeating: "y", count: 300), String(repeating: "z/", count: 3000)])
    func oddPathsAreRefused(_ path: String) async throws {
        try await withAgent { agent in
            for method in ["Stat", "MakeDir", "ListDir"] {
                let (_, json) = try call(agent.connect(), method, ["path": .string(path)])
                #expect(json["code"] == "invalid_argument")
            }
        }
    }
}
