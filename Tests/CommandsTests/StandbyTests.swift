import ControlAPI
import DeploymentCore
import Foundation
import Testing

/// What a redeploy and a restart owe to a process that has imported everything before.
@Suite(.timeLimit(.minutes(15))) struct StandbyTests {
    private static let standbys = ["BERTH_STANDBYS": "3"]

    /// An app that leaves the names of its imports, as rendered ones do, and says what was imported before it came.
    private static func app(_ version: Int, isLoaded: Bool = true, more: String = "") -> PlainApp {
        PlainApp(
            version: version, isLoaded: isLoaded,
            prologue: """
                import sys
                print("known before:", sys.modules.get("xml.dom.minidom") is not None)
                import xml.dom.minidom
                with open(os.environ["BERTH_IMPORTS"], "w") as names:
                    names.write("xml.dom.minidom\\nno.such.module")

                """, more: more)
    }

    @Test(arguments: Isolation.allCases)
    func redeployAndRestartTakeAStandby(_ rung: Isolation) async throws {
        try await CLI.with(rung) { cli in
            let server = try await cli.serve(environment: Self.standbys)
            let manifest = try Self.app(1).write(cli)
            let first = try await cli.succeed("deploy", manifest)
            #expect(!first.stderr.contains("standby"), "\(first.stderr)")
            let standby = try await cli.standby(of: "plain")

            try Self.app(2).write(cli)
            let second = try await cli.succeed("deploy", manifest)
            #expect(second.stderr.contains("reused, standby"), "\(second.stderr)")
            #expect(try await cli.sum().version == 2)
            #expect(try await cli.status("plain").sandbox == standby)
            #expect(try await cli.succeed("logs", "plain").stdout.contains("out known before: True"))

            let next = try await cli.standby(of: "plain")
            _ = try? await cli.ask("plain/predict", "{\"input\": \"end\"}")
            var status = try await cli.settled("plain")
            while status.restarts == 0 { status = try await cli.settled("plain") }
            #expect(status.sandbox == next)
            #expect(try await cli.sum().version == 2)

            try await cli.succeed("destroy", "plain", "--yes")
            #expect(cli.noteSandboxes() == [])
            try await cli.succeed("down")
            #expect(await cli.finish(server).status == 0)
        }
    }

    @Test(.enabled(if: ProcessInfo.processInfo.activeProcessorCount > 1, "a single processor is left to the app"))
    func firstDeployGetsAStandbyWhileItIsInHealthAndTheNextOneTakesIt() async throws {
        try await CLI.with { cli in
            let server = try await cli.serve(environment: Self.standbys)
            let manifest = try Self.app(1, isLoaded: false).write(cli)
            let first = try cli.start(["deploy", manifest])
            try await first.says("start ")
            var status = try await cli.status("plain")
            while status.standbys == 0 { status = try await cli.status("plain") }
            #expect(status.stage == .health)
            try await cli.succeed("cancel", "plain")
            #expect(await cli.finish(first).status != 0)
            #expect(cli.noteSandboxes().count == 1)

            try Self.app(2).write(cli)
            let second = try await cli.succeed("deploy", manifest)
            #expect(second.stderr.contains("reused, standby"), "\(second.stderr)")
            #expect(try await cli.succeed("logs", "plain").stdout.contains("out known before: True"))
            try await cli.succeed("destroy", "plain", "--yes")
            #expect(cli.noteSandboxes() == [])
            try await cli.succeed("down")
            #expect(await cli.finish(server).status == 0)
        }
    }

    @Test func standbyThatEndedIsReplacedByAColdStart() async throws {
        try await CLI.with { cli in
            let server = try await cli.serve(environment: Self.standbys)
            let manifest = try Self.app(1).write(cli)
            try await cli.succeed("deploy", manifest)
            let standby = try await cli.standby(of: "plain")
            for pid in cli.processes(ofSandbox: standby) { kill(pid, SIGKILL) }

            try Self.app(2).write(cli)
            let second = try await cli.succeed("deploy", manifest)
            #expect(second.stderr.contains("cold start, as the standby cannot be used"), "\(second.stderr)")
            #expect(try await cli.sum().version == 2)
            try await cli.succeed("down")
            #expect(await cli.finish(server).status == 0)
        }
    }

    @Test func otherVariablesNeedAnotherStandby() async throws {
        try await CLI.with { cli in
            let server = try await cli.serve(environment: Self.standbys)
            try await cli.succeed("deploy", try Self.app(1).write(cli))
            let standby = try await cli.standby(of: "plain")

            let second = try await cli.succeed("deploy", try Self.app(2, more: "env: {SEED: 7}").write(cli))
            #expect(!second.stderr.contains("standby"), "\(second.stderr)")
            let next = try await cli.standby(of: "plain", other: standby)
            #expect(Set(cli.noteSandboxes()).isSuperset(of: [next]))
            #expect(!cli.noteSandboxes().contains(standby))

            let third = try await cli.succeed("deploy", try Self.app(3, more: "standby: 0\nenv: {SEED: 7}").write(cli))
            #expect(third.stderr.contains("reused, standby"), "\(third.stderr)")
            #expect(try await cli.status("plain").standbys == 0)
            try await cli.succeed("down")
            #expect(await cli.finish(server).status == 0)
        }
    }
}

extension CLI {
    /// The standby of a deployment once there is one, which is another one than `other`.
    func standby(of name: String, other: String? = nil) async throws -> String {
        while true {
            let status = try await status(name)
            let rest = noteSandboxes().filter { $0 != status.sandbox && $0 != other }
            if status.standbys == 1, let standby = rest.first, rest.count == 1 { return standby }
        }
    }
}
