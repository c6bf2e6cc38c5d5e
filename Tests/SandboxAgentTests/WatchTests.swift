import DeploymentCore
import Foundation
import Glibc
import Testing

@Suite struct WatchTests {
    private static let binary = ["Content-Type": "application/octet-stream"]

    private func upload(_ path: String, _ agent: RunningAgent) throws {
        let response = try agent.connect().request(
            "POST", "/files?path=\(path)", Self.binary, body: Data("content".utf8))
        guard response.status == 200 else { throw RunningAgent.Failure("the upload was refused") }
    }

    /// Begins to watch, and has seen the start.
    private func watch(_ message: JSONValue, _ agent: RunningAgent) throws -> TestConnection {
        let connection = try agent.connect()
        try connection.open("filesystem.Filesystem/WatchDir", message)
        let first = try connection.nextMessage()
        guard first["start"] != nil else { throw RunningAgent.Failure("no start but \(first)") }
        return connection
    }

    private func expect(_ events: [String], from connection: TestConnection) throws {
        for event in events {
            let message = try connection.nextMessage()["filesystem"]
            let type = message?["type"]?.string?.replacing("EVENT_TYPE_", with: "") ?? ""
            #expect("\(type) \(message?["name"]?.string ?? "")" == event)
        }
    }

    @Test func uploadIsCreatedChangedAndWritten() async throws {
        try await withAgent { agent in
            let connection = try watch(["path": "~"], agent)
            try upload("new", agent)
            // The next event of another file shows that there are no more of this one.
            mkfifo("\(agent.folder)/mark", 0o600)
            try expect(["CREATE new", "CHMOD new", "WRITE new", "CREATE mark"], from: connection)
        }
    }

    @Test func renamesAndRemovalsAreTold() async throws {
        try await withAgent { agent in
            try upload("in/file", agent)
            try upload("out/file", agent)
            let connection = try watch(["path": "in"], agent)
            let folder = agent.folder
            rename("\(folder)/in/file", "\(folder)/in/other")
            rename("\(folder)/in/other", "\(folder)/out/other")
            rename("\(folder)/out/file", "\(folder)/in/came")
            chmod("\(folder)/in/came", 0o600)
            unlink("\(folder)/in/came")
            mkdir("\(folder)/in/sub", 0o700)
            mkdir("\(folder)/in/sub/deep", 0o700)
            rmdir("\(folder)/in/sub/deep")
            rmdir("\(folder)/in/sub")
            try expect(
                [
                    "RENAME file", "CREATE other", "RENAME other", "CREATE came", "CHMOD came", "REMOVE came",
                    "CREATE sub", "REMOVE sub",
                ], from: connection)
        }
    }

    @Test func foldersThatComeLaterAreWatchedToo() async throws {
        try await withAgent { agent in
            try upload("tree/a/file", agent)
            symlink("\(agent.folder)/tree", "\(agent.folder)/link")
            let connection = try watch(["path": "link", "recursive": true], agent)
            try upload("tree/a/second", agent)
            try expect(["CREATE a/second", "CHMOD a/second", "WRITE a/second"], from: connection)
            #expect(
                try agent.connect().call("filesystem.Filesystem/MakeDir", ["path": "tree/b/c/d"]).status == 200)
            try expect(["CREATE b", "CREATE b/c", "CREATE b/c/d"], from: connection)
            try upload("tree/b/c/d/e", agent)
            try expect(["CREATE b/c/d/e", "CHMOD b/c/d/e", "WRITE b/c/d/e"], from: connection)
            rename("\(agent.folder)/tree/b", "\(agent.folder)/tree/x")
            try expect(["RENAME b", "CREATE x"], from: connection)
            unlink("\(agent.folder)/tree/x/c/d/e")
            try expect(["REMOVE x/c/d/e"], from: connection)
            rename("\(agent.folder)/tree/x", "\(agent.folder)/away")
            try upload("away/c/unseen", agent)
            mkdir("\(agent.folder)/tree/last", 0o700)
            try expect(["RENAME x", "CREATE last"], from: connection)
        }
    }

    @Test func everyEntryOfAFastTreeIsToldOnce() async throws {
        try await withAgent { agent in
            let connection = try watch(["path": "~", "recursive": true], agent)
            let runner = try agent.connect()
            try runner.start("for i in 1 2 3 4 5 6 7 8 9; do mkdir -p d$i/a/b/c; mkdir d$i/a/b/c/end; done; mkdir zz")
            _ = try runner.rest()
            var seen: [String] = []
            while seen.last != "zz" {
                let event = try connection.nextMessage()["filesystem"]
                #expect(event?["type"] == "EVENT_TYPE_CREATE")
                seen.append(event?["name"]?.string ?? "")
            }
            #expect(seen.count == 9 * 5 + 1)
            #expect(Set(seen).count == seen.count)
        }
    }

    @Test func watcherIsAskedForItsEvents() async throws {
        try await withAgent { agent in
            let connection = try agent.connect()
            let service = "filesystem.Filesystem/"
            let made = try connection.call(service + "CreateWatcher", ["path": "", "includeEntry": true])
            #expect(made.status == 200)
            let watcher: JSONValue = ["watcherId": made.json["watcherId"] ?? .null]
            #expect(try connection.call(service + "GetWatcherEvents", watcher).json["events"] == [])
            try upload("f", agent)
            unlink("\(agent.folder)/f")
            let events = try connection.call(service + "GetWatcherEvents", watcher).json["events"]?.array ?? []
            #expect(
                events.map { $0["type"]?.string } == [
                    "EVENT_TYPE_CREATE", "EVENT_TYPE_CHMOD", "EVENT_TYPE_WRITE", "EVENT_TYPE_REMOVE",
                ])
            mkdir("\(agent.folder)/folder", 0o750)
            let event = try connection.call(service + "GetWatcherEvents", watcher).json["events"]?[0]
            #expect(event?["entry"]?["type"] == "FILE_TYPE_DIRECTORY")
            #expect(event?["entry"]?["permissions"] == "drwxr-x---")
            #expect(try connection.call(service + "RemoveWatcher", watcher).status == 200)
            #expect(try connection.call(service + "GetWatcherEvents", watcher).status == 404)
            #expect(try connection.call(service + "RemoveWatcher", watcher).status == 404)
        }
    }

    @Test func lossIsToldOnceAndTheWatcherGoesOn() async throws {
        try await withAgent { agent in
            let connection = try agent.connect()
            let service = "filesystem.Filesystem/"
            mkdir("\(agent.folder)/w", 0o700)
            let made = try connection.call(service + "CreateWatcher", ["path": "w"])
            let watcher: JSONValue = ["watcherId": made.json["watcherId"] ?? .null]
            for number in 0..<2500 {
                mkdir("\(agent.folder)/w/\(number)", 0o700)
                rmdir("\(agent.folder)/w/\(number)")
            }
            let lost = try connection.call(service + "GetWatcherEvents", watcher)
            #expect(lost.status == 429)
            #expect(lost.json["code"] == "resource_exhausted")
            mkdir("\(agent.folder)/w/x", 0o700)
            let events = try connection.call(service + "GetWatcherEvents", watcher).json["events"]
            #expect(events?.array?.compactMap { $0["name"]?.string } == ["x"])
        }
    }

    @Test func watchersHaveALimitAndGiveTheirDescriptorsBack() async throws {
        try await withAgent { agent in
            let connection = try agent.connect()
            let service = "filesystem.Filesystem/"
            try connection.request("GET", "/health")
            let before = agent.descriptorCount
            var ids: [JSONValue] = []
            var last = 200
            while last == 200, ids.count < 100 {
                let made = try connection.call(service + "CreateWatcher", ["path": "", "recursive": true])
                last = made.status
                if let id = made.json["watcherId"] { ids.append(id) }
            }
            #expect(last == 429)
            #expect(ids.count <= 64)
            for id in ids { try connection.call(service + "RemoveWatcher", ["watcherId": id]) }
            for _ in 0..<20 { _ = try watch(["path": ""], agent) }
            // An answer after the others' ends were sent: those have been seen by then.
            try connection.request("GET", "/health")
            try connection.request("GET", "/health")
            #expect(agent.descriptorCount <= before)
        }
    }

    @Test func whatIsNoFolderIsNotWatched() async throws {
        try await withAgent { agent in
            try upload("file", agent)
            let connection = try agent.connect()
            for (path, code) in [
                ("none", "not_found"), ("file", "invalid_argument"), ("~other", "invalid_argument"),
                ("a\u{0}", "invalid_argument"),
            ] {
                let message: JSONValue = ["path": .string(path)]
                #expect(
                    try connection.call("filesystem.Filesystem/CreateWatcher", message).json["code"] == .string(code))
                try connection.open("filesystem.Filesystem/WatchDir", message)
                #expect(try connection.nextEvent() == .over(code))
            }
        }
    }

    @Test func watchHasItsDeadlineAndKeepalives() async throws {
        try await withAgent { agent in
            let connection = try agent.connect()
            let headers = ["Connect-Timeout-Ms": "1500", "Keepalive-Ping-Interval": "1"]
            try connection.open("filesystem.Filesystem/WatchDir", ["path": ""], headers)
            #expect(try connection.nextMessage()["start"] != nil)
            #expect(try connection.nextMessage()["keepalive"] != nil)
            #expect(try connection.nextEvent() == .over("deadline_exceeded"))
        }
    }

    @Test func removedFolderIsTold() async throws {
        try await withAgent { agent in
            mkdir("\(agent.folder)/w", 0o700)
            let connection = try watch(["path": "w", "recursive": true], agent)
            rmdir("\(agent.folder)/w")
            try expect(["REMOVE ."], from: connection)
        }
    }
}
