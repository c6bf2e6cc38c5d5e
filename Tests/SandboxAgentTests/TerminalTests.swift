import DeploymentCore
import Foundation
import Glibc
import Testing

@Suite(.enabled(if: access("/dev/ptmx", R_OK | W_OK) == 0, "there are no terminals here")) struct TerminalTests {
    private static let replay = ["Berth-Replay": "1"]
    /// A shell without start files that prints nothing but what it is told.
    private static let shell = ["/bin/sh", "-c"]

    @Test func processHasItsTerminalAndSession() async throws {
        try await withAgent { agent in
            let connection = try agent.connect()
            let pid = try connection.startTerminal(
                Self.shell + [
                    "stty size; tty; test -t 0 && test -t 1 && test -t 2 && echo all; echo $TERM $LANG; "
                        + "cut -d ' ' -f 6 /proc/$$/stat; ls /proc/self/fd | wc -l; echo tty > /dev/tty"
                ],
                environment: ["LANG": "C"])
            let rest = try connection.rest()
            let lines = String(decoding: rest.stdout, as: UTF8.self).components(separatedBy: "\r\n")
            #expect(lines.first == "24 80")
            #expect(lines[1].hasPrefix("/dev/pts/"))
            #expect(lines[2...4] == ["all", "xterm-256color C", "\(pid)"])
            #expect(lines[5...] == ["4", "tty", ""])
            #expect(rest.events == [ProcessTests.ended(0), .over(nil)])
        }
    }

    @Test func resizeIsToldToTheForeground() async throws {
        try await withAgent { agent in
            let connection = try agent.connect()
            let control = try agent.connect()
            let pid = try connection.startTerminal(
                Self.shell + ["trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.05; done"])
            try connection.await("ready")
            let size: JSONValue = [
                "process": ["pid": .integer(Int64(pid))], "pty": ["size": ["cols": 132, "rows": 50]],
            ]
            #expect(try control.call("process.Process/Update", size).status == 200)
            try connection.await("50 132")
            let large: JSONValue = [
                "process": ["pid": .integer(Int64(pid))], "pty": ["size": ["cols": 99999, "rows": 50]],
            ]
            #expect(try connection.rest().events.last == .over(nil))
            #expect(try control.call("process.Process/Update", size).status == 404)
            try connection.startTerminal(["cat"], tag: "cat")
            var again = try #require(large.object)
            again["process"] = ["tag": "cat"]
            #expect(try control.call("process.Process/Update", .object(again)).json["code"] == "invalid_argument")
        }
    }

    @Test func stormOfSizesEndsWithTheLast() async throws {
        try await withAgent { agent in
            let connection = try agent.connect()
            let control = try agent.connect()
            let pid = try connection.startTerminal(Self.shell + ["echo ready; cat; stty size"])
            let process: JSONValue = ["pid": .integer(Int64(pid))]
            try connection.await("ready")
            for number in 1...1000 {
                let size: JSONValue = [
                    "size": ["cols": .integer(Int64(number)), "rows": .integer(Int64(1001 - number))]
                ]
                #expect(try control.call("process.Process/Update", ["process": process, "pty": size]).status == 200)
            }
            try control.type("\u{4}", to: pid)
            try connection.await("1 1000")
        }
    }

    @Test func streamOfInputIsTyped() async throws {
        try await withAgent { agent in
            let connection = try agent.connect()
            let control = try agent.connect()
            let pid = try connection.startTerminal(Self.shell + ["stty -echo; echo ready; exec wc -l"])
            try connection.await("ready")
            var body = TestConnection.frame(["start": ["process": ["pid": .integer(Int64(pid))]]])
            let lines = Data(String(repeating: "line\n", count: 1000).utf8).base64EncodedString()
            for _ in 0..<50 { body += TestConnection.frame(["data": ["input": ["pty": .string(lines)]]]) }
            body += TestConnection.frame(["keepalive": [:]])
            body += TestConnection.frame(["data": ["input": ["pty": "BA=="]]])
            let headers = ["Content-Type": "application/connect+json"]
            try control.sendRequest("POST", "/process.Process/StreamInput", headers, body: body)
            try connection.await("50000\r\n")
            #expect(try control.readHead().status == 200)
            #expect(try control.nextFrame()?.flags == 0)
            #expect(try control.nextFrame()?.flags == 2)
        }
    }

    @Test func typedTextIsEchoedAndEndOfInputEnds() async throws {
        try await withAgent { agent in
            let connection = try agent.connect()
            let control = try agent.connect()
            let pid = try connection.startTerminal(["cat"])
            try control.type("hello\n", to: pid)
            try connection.await("hello\r\nhello\r\n")
            try control.type("\u{4}", to: pid)
            #expect(try connection.rest().events == [ProcessTests.ended(0), .over(nil)])
        }
    }

    @Test func interruptReachesTheForegroundOnly() async throws {
        try await withAgent { agent in
            let connection = try agent.connect()
            let control = try agent.connect()
            let pid = try connection.startTerminal(["/bin/bash", "--norc", "-i"], environment: ["PS1": "> "])
            try connection.await("> ")
            // The job is in the foreground once it prints.
            try control.type("sh -c 'echo rea\"\"dy; exec sleep 1000'\n", to: pid)
            try connection.await("ready")
            try control.type("\u{3}", to: pid)
            try connection.await("> ")
            try control.type("echo sta''tus $?\n", to: pid)
            try connection.await("status 130")
            try control.type("exit 3\n", to: pid)
            #expect(try connection.rest().events == [ProcessTests.ended(3), .over(nil)])
        }
    }

    @Test func inputOfTheWrongKindIsInternal() async throws {
        try await withAgent { agent in
            let connection = try agent.connect()
            let control = try agent.connect()
            try connection.startTerminal(["cat"], tag: "terminal")
            try agent.connect().start("cat", tag: "pipes")
            for (tag, kind) in [("terminal", "stdin"), ("pipes", "pty")] {
                let input: JSONValue = ["process": ["tag": .string(tag)], "input": [kind: "eA=="]]
                #expect(try control.call("process.Process/SendInput", input).json["code"] == "internal")
            }
            let terminal: JSONValue = ["process": ["tag": "terminal"]]
            #expect(try control.call("process.Process/CloseStdin", terminal).json["code"] == "internal")
            let resize: JSONValue = ["process": ["tag": "pipes"], "pty": ["size": ["cols": 1, "rows": 1]]]
            #expect(try control.call("process.Process/Update", resize).json["code"] == "internal")
            #expect(try control.call("process.Process/Update", terminal).status == 200)
        }
    }

    @Test func sessionOutlivesItsViewerAndShowsItsScreenAgain() async throws {
        try await withAgent { agent in
            var first: TestConnection? = try agent.connect()
            let control = try agent.connect()
            let script = "stty -echo; echo begin; read line; seq 1 40000; echo last $line; echo > done; read line"
            let pid = try #require(try first?.startTerminal(Self.shell + [script]))
            try first?.await("begin")
            first = nil
            try control.type("one\n", to: pid)
            while access("\(agent.folder)/done", F_OK) != 0 { try control.call("process.Process/List", [:]) }
            for round in 0..<2 {
                let viewer = try agent.connect()
                try viewer.open("process.Process/Connect", ["process": ["pid": .integer(Int64(pid))]], Self.replay)
                #expect(try viewer.nextEvent() == .start(pid: pid))
                let screen = try viewer.await("last one\r\n")
                #expect(screen.utf8.count > 40 << 10)
                // While the first one looks, some of it may still be on its way.
                if round > 0 { #expect(screen.utf8.count <= 64 << 10) }
            }
            let viewer = try agent.connect()
            try viewer.open("process.Process/Connect", ["process": ["pid": .integer(Int64(pid))]])
            #expect(try viewer.nextEvent() == .start(pid: pid))
            try control.type("two\n", to: pid)
            let rest = try viewer.rest()
            #expect(rest.stdout.isEmpty)
            #expect(rest.events == [ProcessTests.ended(0), .over(nil)])
        }
    }

    @Test func killReapsTheWholeSession() async throws {
        try await withAgent { agent in
            let connection = try agent.connect()
            let control = try agent.connect()
            let pid = try connection.startTerminal(["/bin/bash", "--norc", "-i"], environment: ["PS1": "> "])
            try control.type(
                "nohup sleep 1000 & (trap '' HUP TERM; exec sleep 1001) & echo jo''bs: $(jobs -p)\n", to: pid)
            var seen = try connection.await("jobs: ")
            while !(seen.components(separatedBy: "jobs: ").last?.contains("\n") ?? false) {
                seen += try connection.await("\n")
            }
            let jobs = seen.components(separatedBy: "jobs: ").last?.components(separatedBy: "\r\n").first ?? ""
            let pids = jobs.split(separator: " ").compactMap { Int($0) }
            #expect(pids.count == 2)
            let signal: JSONValue = ["process": ["pid": .integer(Int64(pid))], "signal": "SIGNAL_SIGKILL"]
            #expect(try control.call("process.Process/SendSignal", signal).status == 200)
            #expect(try connection.rest().events == [ProcessTests.killed, .over(nil)])
            for pid in pids { expectEnd(of: pid) }
        }
    }

    @Test func floodStaysBounded() async throws {
        try await withAgent(["--stall-limit", "300"]) { agent in
            let slow = try agent.connect()
            let pid = try slow.startTerminal(["yes"])
            let fast = try agent.connect()
            try fast.open("process.Process/Connect", ["process": ["pid": .integer(Int64(pid))]])
            #expect(try fast.nextEvent() == .start(pid: pid))
            var count = 0
            while count < 8 << 20 {
                guard case .terminal(let bytes) = try fast.nextEvent() else { throw RunningAgent.Failure("no flood") }
                #expect(bytes.count <= 32 << 10)
                count += bytes.count
            }
            #expect(try agent.residentMemory() < 64 << 20)
            let signal: JSONValue = ["process": ["pid": .integer(Int64(pid))], "signal": "SIGNAL_SIGKILL"]
            #expect(try agent.connect().call("process.Process/SendSignal", signal).status == 200)
            #expect(try fast.rest().events == [ProcessTests.killed, .over(nil)])
            #expect(try slow.rest().events == [.over("resource_exhausted")])
        }
    }

    @Test func terminalsAreGivenBack() async throws {
        try await withAgent(["--retention", "0"]) { agent in
            let control = try agent.connect()
            let connection = try agent.connect()
            try connection.startTerminal(["true"])
            _ = try connection.rest()
            try control.request("GET", "/health")
            let before = agent.descriptorCount
            for _ in 0..<50 {
                try connection.startTerminal(["true"])
                _ = try connection.rest()
                try connection.open(
                    "process.Process/Start", ["process": ["cmd": "/none"], "pty": ["size": ["cols": 1, "rows": 1]]])
                #expect(try connection.nextEvent() == .over("invalid_argument"))
            }
            try control.request("GET", "/health")
            #expect(agent.descriptorCount <= before)
        }
    }
}
