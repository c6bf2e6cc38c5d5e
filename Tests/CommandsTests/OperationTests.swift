import ControlAPI
import ControlPlane
import DeploymentCore
import Foundation
import Testing

@testable import Commands

@Suite struct OperationTests {
    @Test func logsBeginWhereTheyAreToldTo() async throws {
        try await CLI.with { cli in
            try await cli.succeed("deploy", try PlainApp(prologue: "print('a \\x1b[31mred\\x1b[0m line')").write(cli))
            let all = try await cli.succeed("logs", "plain", "--since", "1h").stdout
            #expect(all.contains("out version 1 starts\n"))
            #expect(!all.contains("\u{1B}"))
            #expect(try await cli.succeed("logs", "plain", "--since", "2126-01-01").stdout == "")
            let last = try #require(all.split(separator: "\n").last)
            let time = try #require(last.split(separator: " ").first.map(String.init))
            let late = try await cli.succeed("logs", "plain", "--since", time).stdout
            #expect(late.hasSuffix("\(last)\n"))
            let lines = try await cli.succeed("logs", "plain", "--since", "1h", "--tail", "1").stdout
            #expect(lines == "\(last)\n")
            let wrong = try await cli("logs", "plain", "--since", "yesterday")
            #expect(wrong.status == 2)
            #expect(wrong.stderr.contains("30s, 10m, 1h30m or 2d"))
            // Following goes on with what comes after.
            let following = try cli.start(["logs", "plain", "-f", "--since", "2000-01-01"])
            try await following.prints("version 1 starts")
            following.signal(SIGINT)
            _ = await cli.finish(following)
        }
    }

    @Test func timesAreReadAsPeopleWriteThem() throws {
        let now: Int64 = 1_800_000_000_000
        #expect(try TimeText.parse("90s", now: now) == now - 90_000)
        #expect(try TimeText.parse("1h30m", now: now) == now - 5_400_000)
        #expect(try TimeText.parse("2d", now: now) == now - 172_800_000)
        #expect(try TimeText.parse("2026-11-21T02:03:04Z", now: now) == 1_795_226_584_000)
        #expect(try TimeText.parse("2026-11-21T02:03:04.567Z", now: now) == 1_795_226_584_567)
        #expect(try TimeText.parse("2026-11-21", now: now) == 1_795_219_200_000)
        for wrong in ["", "10", "m", "1w", "-1h", "99999999999s", "1h 30m", "99999d", "21.11.2026"] {
            #expect(throws: BerthError.self) { try TimeText.parse(wrong, now: now) }
        }
    }

    @Test(arguments: ExecTests.rungs) func statisticsTellWhatADeploymentUses(_ rung: Isolation) async throws {
        try await CLI.with(rung) { cli in
            #expect(try await cli("top").stderr.contains("no control plane runs"))
            try await cli.succeed("deploy", try PlainApp().write(cli))
            let json = try await cli.json([StatisticsResource].self, "top")
            #expect(json.map(\.deployment) == ["plain"])
            let status = try await cli.status("plain")
            #expect(json[0].sandbox == status.sandbox)
            let sample = try #require(json[0].current, "\(json[0].reason ?? "")")
            #expect(sample.memoryBytes > 1 << 20)
            #expect(sample.processes >= 2)
            #expect(sample.cpuPercent > 0)
            #expect(sample.uptimeSeconds > 0)
            #expect(sample.diskBytes > 0)
            let text = try await cli.succeed("top", "plain").stdout
            #expect(text.contains(/^NAME +STATE +CPU +MEMORY +DISK/))
            #expect(text.contains(/\nplain +serving +[0-9.]+%/))
            // Where there is no terminal, watching is looking once.
            #expect(try await cli.succeed("status", "--watch").stdout.contains("MEMORY"))
            #expect(try await cli("top", "nobody").status == 1)
        }
    }

    @Test(arguments: ExecTests.rungs) func pausedDeploymentWakesAtTheFirstRequest(_ rung: Isolation) async throws {
        try await CLI.with(rung) { cli in
            try await cli.succeed("deploy", try PlainApp().write(cli))
            let before = try await cli.status("plain")
            #expect(try await cli.sum().sum == 6.5)
            #expect(try await cli.succeed("pause", "plain").stdout == "plain: paused\n")
            #expect(try await cli.status("plain").state == "paused")
            #expect(try await cli.succeed("pause", "plain").stdout == "plain: paused\n")
            #expect(try await cli.json([StatisticsResource].self, "top")[0].state == "paused")
            let refused = try await cli.exec("plain", "true")
            #expect(refused.status == 1)
            #expect(refused.stderr.contains("berth resume plain"))

            let answers = try await withThrowingTaskGroup(of: CLI.Sum.self) { group in
                for _ in 0..<8 { group.addTask { try await cli.sum() } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(answers.map(\.sum) == Array(repeating: 6.5, count: 8))
            let after = try await cli.status("plain")
            #expect(after.state == "serving")
            #expect(after.sandbox == before.sandbox)
            #expect(after.restarts == 0)
            #expect(try await cli.exec("plain", "true").status == 0)

            try await cli.succeed("pause", "plain", "--quiet")
            #expect(try await cli.succeed("resume", "plain").stdout == "plain: serving\n")
            #expect(try await cli.sum().sum == 6.5)
            let log = try await cli.succeed("logs", "plain").stdout
            #expect(log.matches(of: /berth (paused|resumed)\n/).count == 4)
            #expect(try await cli("pause", "nobody").status == 1)
        }
    }

    @Test func pausedDeploymentCanBeReplacedAndDestroyed() async throws {
        try await CLI.with { cli in
            let manifest = try PlainApp().write(cli)
            try await cli.succeed("deploy", manifest)
            try await cli.succeed("pause", "plain")
            try PlainApp(version: 2).write(cli)
            try await cli.succeed("deploy", manifest)
            #expect(try await cli.status("plain").state == "serving")
            #expect(try await cli.sum().version == 2)
            try await cli.succeed("pause", "plain")
            try await cli.succeed("destroy", "plain", "--yes")
            #expect(try await cli.ask("plain/predict", "{}").status == 404)
        }
    }

    @Test func pausedDeploymentIsAwakeUnderTheNextControlPlane() async throws {
        try await CLI.with { cli in
            try await cli.succeed("deploy", try PlainApp().write(cli))
            let before = try await cli.status("plain")
            try await cli.succeed("pause", "plain")
            try await cli.succeed("down", "--keep-sandboxes")
            let server = try await cli.serve()
            #expect(try await cli.sum().sum == 6.5)
            let after = try await cli.status("plain")
            #expect(after.state == "serving")
            #expect(after.sandbox == before.sandbox)
            try await cli.succeed("down")
            #expect(await cli.finish(server).status == 0)
        }
    }
}
