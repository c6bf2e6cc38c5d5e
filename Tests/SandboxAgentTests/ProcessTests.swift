import DeploymentCore
import Foundation
import Glibc
import Testing

@Suite struct ProcessTests {
    static func ended(_ code: Int) -> SeenEvent {
        let text = "exit status \(code)"
        return .end(code: code, exited: true, status: text, error: code == 0 ? nil : text)
    }
    static let killed = SeenEvent.end(code: -1, exited: false, status: "signal: killed", error: "signal: killed")

    @Test func outputComesBetweenStartAndEnd() async throws {
        try await withAgent { agent in
            let connection = try agent.connect()
            let pid = try connection.start("echo out; echo err >&2")
            #expect(pid > 0)
            let rest = try connection.rest()
            #expect(rest.stdout == Data("out\n".utf8))
            #expect(rest.stderr == Data("err\n".utf8))
            #expect(rest.events == [Self.ended(0), .over(nil)])
        }
    }

    @Test(arguments: [0, 1, 42, 255]) func exitCodesAreTold(_ code: Int) async throws {
        try await withAgent { agent in
            let connection = try agent.connect()
            try connection.start("exit \(code)")
            #expect(try connection.rest().events == [Self.ended(code), .over(nil)])
        }
    }

    @Test func oneConnectionCarriesManyProcesses() async throws {
        try await withAgent { agent in
            let connection = try agent.connect()
            for number in 0..<5 {
                try connection.start("echo \(number)")
                #expect(try connection.rest().stdout == Data("\(number)\n".utf8))
            }
        }
    }

    @Test func environmentHasHomeAndTheRequestsVariablesWin() async throws {
        try await withAgent(["--user", "someone", "--env", "A=agent", "--env", "B=agent"]) { agent in
            let connection = try agent.connect()
            try connection.start("echo $HOME $USER $LOGNAME $E2B_SANDBOX $A $B; pwd", environment: ["B": "request"])
            let text = String(decoding: try connection.rest().stdout, as: UTF8.self)
            #expect(text == "\(agent.folder) someone someone true agent request\n\(agent.folder)\n")
        }
    }

    @Test func processHasASessionOfItsOwnAndNoStrayDescriptors() async throws {
        try await withAgent { agent in
            let connection = try agent.connect()
            let pid = try connection.start(
                "ls /proc/self/fd | wc -l; cut -d ' ' -f 6 /proc/$$/stat; grep -E 'SigBlk|SigIgn' /proc/self/status")
            let lines = String(decoding: try connection.rest().stdout, as: UTF8.self).split(separator: "\n")
            // 0, 1, 2 and the folder being listed.
            #expect(lines[0] == "4")
            #expect(lines[1] == "\(pid)")
            #expect(lines[2].hasSuffix("0000000000000000"))
            // 32 and 33 belong to the C library and cannot be reset.
            let ignored = try #require(UInt64(lines[3].suffix(16), radix: 16))
            #expect(ignored & 0x7FFF_FFFF == 0)
        }
    }

    @Test func missingFolderIsRefused() async throws {
        try await withAgent { agent in
            let connection = try agent.connect()
            try connection.open("process.Process/Start", ["process": ["cmd": "true", "cwd": "/nowhere"]])
            let frame = try #require(try connection.nextFrame())
            let error = try JSONValue(parsing: frame.payload)["error"]
            #expect(frame.flags == 2)
            #expect(error?["code"]?.string == "invalid_argument")
            #expect(error?["message"]?.string == "cwd '/nowhere' does not exist")
        }
    }

    @Test(arguments: ["no-such-program", "/no/such/program", "/etc/passwd", "", "./x"])
    func programThatCannotRunIsRefused(_ program: String) async throws {
        try await withAgent { agent in
            let connection = try agent.connect()
            try connection.open("process.Process/Start", ["process": ["cmd": .string(program)]])
            #expect(try connection.nextEvent() == .over("invalid_argument"))
        }
    }

    @Test func inputIsWrittenAndClosed() async throws {
        try await withAgent { agent in
            let connection = try agent.connect()
            let control = try agent.connect()
            let pid = Int64(try connection.start("cat; echo done"))
            let input: JSONValue = ["process": ["pid": .integer(pid)], "input": ["stdin": "aGVsbG8K"]]
            #expect(try control.call("process.Process/SendInput", input).status == 200)
            try connection.await("hello\n")
            #expect(try control.call("process.Process/CloseStdin", ["process": ["pid": .integer(pid)]]).status == 200)
            let rest = try connection.rest()
            #expect(rest.stdout == Data("done\n".utf8))
            #expect(try control.call("process.Process/SendInput", input).json["code"] == "not_found")
        }
    }

    @Test func inputThatWasNotAskedForIsRefused() async throws {
        try await withAgent { agent in
            let connection = try agent.connect()
            let control = try agent.connect()
            try connection.start("cat; echo ready; exec sleep 1000", tag: "t", stdin: false)
            try connection.await("ready")
            let input: JSONValue = ["process": ["tag": "t"], "input": ["stdin": "eA=="]]
            #expect(try control.call("process.Process/SendInput", input).json["code"] == "failed_precondition")
        }
    }

    @Test func streamedInputArrivesWhole() async throws {
        try await withAgent { agent in
            let connection = try agent.connect()
            let control = try agent.connect()
            let pid = Int64(try connection.start("wc -c"))
            let part = String(repeating: "QUFB", count: 50_000)
            var body = TestConnection.frame(["start": ["process": ["pid": .integer(pid)]]])
            for _ in 0..<20 { body += TestConnection.frame(["data": ["input": ["stdin": .string(part)]]]) }
            let headers = ["Content-Type": "application/connect+json"]
            try control.sendRequest("POST", "/process.Process/StreamInput", headers, body: body)
            #expect(try control.readHead().status == 200)
            #expect(try control.nextFrame()?.flags == 0)
            #expect(try control.nextFrame()?.flags == 2)
            #expect(try control.nextFrame() == nil)
            #expect(try control.call("process.Process/CloseStdin", ["process": ["pid": .integer(pid)]]).status == 200)
            #expect(try connection.rest().stdout == Data("3000000\n".utf8))
        }
    }

    @Test func killReachesAGroupThatIgnoresTermination() async throws {
        try await withAgent { agent in
            let connection = try agent.connect()
            let control = try agent.connect()
            let pid = try connection.start(
                "trap '' TERM; (trap '' TERM; while :; do sleep 1000; done) & echo child $!; wait; wait; sleep 1000")
            guard case .stdout(let line) = try connection.nextEvent(),
                let child = Int(String(decoding: line, as: UTF8.self).dropFirst(6).trimmingCharacters(in: .newlines))
            else { throw RunningAgent.Failure("no child") }
            let selector: JSONValue = ["pid": .integer(Int64(pid))]
            let term: JSONValue = ["process": selector, "signal": "SIGNAL_SIGTERM"]
            #expect(try control.call("process.Process/SendSignal", term).status == 200)
            #expect(kill(pid_t(child), 0) == 0)
            let signal: JSONValue = ["process": selector, "signal": 9]
            #expect(try control.call("process.Process/SendSignal", signal).status == 200)
            #expect(try connection.rest().events == [Self.killed, .over(nil)])
            expectEnd(of: child)
        }
    }

    @Test func terminationIsNamed() async throws {
        try await withAgent { agent in
            let connection = try agent.connect()
            try connection.start("echo ready; exec sleep 1000", tag: "sleeper")
            try connection.await("ready")
            let signal: JSONValue = ["process": ["tag": "sleeper"], "signal": "SIGNAL_SIGTERM"]
            #expect(try agent.connect().call("process.Process/SendSignal", signal).status == 200)
            let text = "signal: terminated"
            let end = SeenEvent.end(code: -1, exited: false, status: text, error: text)
            #expect(try connection.rest().events == [end, .over(nil)])
        }
    }

    @Test func otherSignalsAndProcessesAreRefused() async throws {
        try await withAgent { agent in
            let connection = try agent.connect()
            let signal: JSONValue = ["process": ["pid": 1], "signal": "SIGNAL_SIGKILL"]
            let unknown = try connection.call("process.Process/SendSignal", signal)
            #expect(unknown.status == 404)
            #expect(unknown.json["message"] == "process with pid 1 not found")
            let none = try connection.call("process.Process/SendSignal", ["process": ["pid": 1]])
            #expect(none.status == 501)
        }
    }

    @Test func deadlineKillsTheProcessAlsoWithoutItsCaller() async throws {
        try await withAgent { agent in
            let connection = try agent.connect()
            try connection.start("sleep 1000 & sleep 1000", ["Connect-Timeout-Ms": "200"])
            #expect(try connection.rest().events == [.over("deadline_exceeded")])
            var leaver: TestConnection? = try agent.connect()
            let pid = try #require(try leaver?.start("exec sleep 1000", ["Connect-Timeout-Ms": "200"]))
            leaver = nil
            let late = try agent.connect()
            try late.open("process.Process/Connect", ["process": ["pid": .integer(Int64(pid))]])
            #expect(try late.rest().events == [.start(pid: pid), Self.killed, .over(nil)])
        }
    }

    @Test func runningProcessesAreListed() async throws {
        try await withAgent { agent in
            let connection = try agent.connect()
            let pid = try connection.start("echo ready; exec sleep 1000", tag: "one")
            try connection.await("ready")
            let list = try agent.connect().call("process.Process/List", [:]).json["processes"]
            #expect(list?.array?.count == 1)
            #expect(list?[0]?["pid"]?.integer == Int64(pid))
            #expect(list?[0]?["tag"] == "one")
            #expect(list?[0]?["config"]?["cmd"] == "/bin/sh")
        }
    }

    @Test func endIsToldThoughAGrandchildHoldsThePipe() async throws {
        try await withAgent { agent in
            let connection = try agent.connect()
            try connection.start("sleep 1000 & echo $!")
            let rest = try connection.rest()
            #expect(rest.events == [Self.ended(0), .over(nil)])
            let pid = try #require(Int(String(decoding: rest.stdout, as: UTF8.self).dropLast()))
            #expect(kill(pid_t(pid), 0) == 0)
        }
    }

    @Test func agentTakesEverythingWithItThatItStarted() async throws {
        var pids: [Int] = []
        try await withAgent(["--grace", "100"]) { agent in
            let connection = try agent.connect()
            pids.append(
                try connection.start("trap '' TERM; sh -c 'trap \"\" TERM; echo $$; while :; do sleep 9; done'"))
            guard case .stdout(let line) = try connection.nextEvent() else { throw RunningAgent.Failure("no child") }
            pids.append(try #require(Int(String(decoding: line, as: UTF8.self).dropLast())))
        }
        for pid in pids { expectEnd(of: pid) }
    }
}
