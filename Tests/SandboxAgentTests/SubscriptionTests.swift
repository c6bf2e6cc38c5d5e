import DeploymentCore
import Foundation
import Testing

@Suite struct SubscriptionTests {
    private static let connect = "process.Process/Connect"
    private static let replay = ["Berth-Replay": "1"]

    @Test func tenMebibytesArriveIntact() async throws {
        try await withAgent { agent in
            let connection = try agent.connect()
            let script = "i=0; while [ $i -lt 160 ]; do head -c 65536 /dev/urandom; i=$((i+1)); done | tee copy"
            try connection.start(script)
            let rest = try connection.rest()
            #expect(rest.events == [ProcessTests.ended(0), .over(nil)])
            #expect(rest.stdout.count == 10 << 20)
            #expect(rest.stdout == (try Data(contentsOf: URL(filePath: "\(agent.folder)/copy"))))
        }
    }

    @Test func unreadOutputIsReplayed() async throws {
        try await withAgent { agent in
            var first: TestConnection? = try agent.connect()
            let control = try agent.connect()
            try first?.start("read line; echo missed $line; read line; echo seen $line", tag: "t", Self.replay)
            first = nil
            // The agent has seen the end of the first connection once it has answered a later one.
            try send("one\n", to: "t", control)
            var seen = Data()
            while seen != Data("missed one\n".utf8) {
                let second = try agent.connect()
                try second.open(Self.connect, ["process": ["tag": "t"]], Self.replay)
                guard case .start = try second.nextEvent(), case .stdout(let bytes) = try second.nextEvent() else {
                    throw RunningAgent.Failure("no output was kept")
                }
                seen += bytes
            }
            let third = try agent.connect()
            try third.open(Self.connect, ["process": ["tag": "t"]], Self.replay)
            guard case .start = try third.nextEvent() else { throw RunningAgent.Failure("no start") }
            try send("two\n", to: "t", control)
            let rest = try third.rest()
            #expect(rest.stdout == Data("seen two\n".utf8))
            #expect(rest.events == [ProcessTests.ended(0), .over(nil)])
        }
    }

    @Test func replayKeepsTheLatestOutputAndTheResult() async throws {
        try await withAgent { agent in
            var first: TestConnection? = try agent.connect()
            let control = try agent.connect()
            try first?.start(
                "read line; head -c 1000000 /dev/zero; echo last; echo > done; read line", tag: "t", Self.replay)
            first = nil
            try send("go\n", to: "t", control)
            while !FileManager.default.fileExists(atPath: "\(agent.folder)/done") {
                try control.call("process.Process/List", [:])
            }
            try send("end\n", to: "t", control)
            while try control.call("process.Process/List", [:]).json["processes"] != [] {}
            let second = try agent.connect()
            try second.open(Self.connect, ["process": ["tag": "t"]], Self.replay)
            let rest = try second.rest()
            #expect(rest.stdout.count <= 256 << 10)
            #expect(rest.stdout.count > 200 << 10)
            #expect(rest.stdout.suffix(5) == Data("last\n".utf8))
            #expect(rest.events.last == .over(nil))
            #expect(rest.events.dropFirst().first == ProcessTests.ended(0))
        }
    }

    @Test func outputWithoutReplayIsNotKept() async throws {
        try await withAgent { agent in
            var first: TestConnection? = try agent.connect()
            let control = try agent.connect()
            try first?.start("read line; echo lost", tag: "t")
            first = nil
            _ = try control.request("GET", "/health")
            try send("go\n", to: "t", control)
            while try control.call("process.Process/List", [:]).json["processes"] != [] {}
            let second = try agent.connect()
            try second.open(Self.connect, ["process": ["tag": "t"]], Self.replay)
            #expect(try second.rest().stdout.isEmpty)
        }
    }

    @Test func everySubscriberGetsEverything() async throws {
        try await withAgent { agent in
            let first = try agent.connect()
            let pid = try first.start("read line; seq 1 20000; exit 7", tag: "t")
            let second = try agent.connect()
            try second.open(Self.connect, ["process": ["pid": .integer(Int64(pid))]])
            #expect(try second.nextEvent() == .start(pid: pid))
            try send("go\n", to: "t", try agent.connect())
            let seen = try (first.rest(), second.rest())
            #expect(seen.0.stdout.count == 108_894)
            #expect(seen.0.stdout == seen.1.stdout)
            #expect(seen.0.events == [ProcessTests.ended(7), .over(nil)])
            #expect(seen.1.events == [ProcessTests.ended(7), .over(nil)])
        }
    }

    @Test func subscriberThatDoesNotReadIsDroppedAndTheProcessGoesOn() async throws {
        try await withAgent(["--stall-limit", "200"]) { agent in
            let slow = try agent.connect()
            let pid = try slow.start("head -c 20000000 /dev/zero; echo > done")
            let fast = try agent.connect()
            try fast.open(Self.connect, ["process": ["pid": .integer(Int64(pid))]])
            #expect(try fast.nextEvent() == .start(pid: pid))
            #expect(try fast.rest().events == [ProcessTests.ended(0), .over(nil)])
            #expect(FileManager.default.fileExists(atPath: "\(agent.folder)/done"))
            #expect(try slow.rest().events == [.over("resource_exhausted")])
        }
    }

    @Test func silenceIsFilledWithKeepalives() async throws {
        try await withAgent { agent in
            let connection = try agent.connect()
            try connection.start("exec sleep 1000", ["Keepalive-Ping-Interval": "1"])
            #expect(try connection.nextEvent() == .keepalive)
        }
    }

    @Test func resultIsForgottenAfterItsTime() async throws {
        try await withAgent(["--retention", "0"]) { agent in
            let connection = try agent.connect()
            let pid = try connection.start("true")
            _ = try connection.rest()
            var code: SeenEvent?
            while code != .over("not_found") {
                try connection.open(Self.connect, ["process": ["pid": .integer(Int64(pid))]])
                code = try connection.rest().events.last
            }
            #expect(code == .over("not_found"))
        }
    }

    @Test func tagOfARunningProcessCannotBeTakenAgain() async throws {
        try await withAgent { agent in
            let connection = try agent.connect()
            try connection.start("exec sleep 1000", tag: "t")
            let second = try agent.connect()
            try second.open("process.Process/Start", ["process": ["cmd": "true"], "tag": "t"])
            #expect(try second.nextEvent() == .over("already_exists"))
        }
    }

    private func send(_ text: String, to tag: String, _ control: TestConnection) throws {
        let bytes = Data(text.utf8).base64EncodedString()
        let input: JSONValue = ["process": ["tag": .string(tag)], "input": ["stdin": .string(bytes)]]
        let response = try control.call("process.Process/SendInput", input)
        guard response.status == 200 else { throw RunningAgent.Failure("input was refused: \(response.json)") }
    }
}
