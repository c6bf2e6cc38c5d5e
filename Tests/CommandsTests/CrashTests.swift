import ControlAPI
import DeploymentCore
import Foundation
import Orchestration
import Testing

@Suite struct CrashTests {
    #if DEBUG
        /// Kills the control plane at one place of a second rollout, and looks at what the next one makes of it.
        @Test(.timeLimit(.minutes(15)), arguments: CrashPoint.allCases, Machine.outerRungs)
        func controlPlaneKilledAtAnyPlaceOfARolloutRecovers(_ point: CrashPoint, _ rung: Isolation) async throws {
            try await CLI.with(rung) { cli in
                let manifest = try PlainApp().write(cli)
                try await cli.succeed("deploy", manifest)
                let old = try await cli.status("plain")
                try await cli.succeed("down", "--keep-sandboxes")

                let doomed = try await cli.serve(environment: ["BERTH_CRASH_AT": "\(point)"])
                try PlainApp(version: 2).write(cli)
                let deployed = try await cli("deploy", manifest)
                let crash = await cli.finish(doomed)
                #expect(crash.signal == SIGKILL)
                #expect(deployed.status == 1, "\(deployed.all)")
                #expect(
                    deployed.stderr.contains("the control plane went away during the rollout"), "\(deployed.stderr)")

                let next = try await cli.serve()
                let hasCommitted = [.committed, .published, .after(.expose)].contains(point)
                let status = try await cli.status("plain")
                #expect(status.state == "serving")
                #expect(status.revision == (hasCommitted ? 2 : 1))
                #expect(status.rollout == nil)
                #expect((status.sandbox == old.sandbox) == !hasCommitted)
                #expect(cli.noteSandboxes() == [status.sandbox])
                let sum = try await cli.sum()
                #expect(sum.sum == 6.5)
                #expect(sum.version == (hasCommitted ? 2 : 1))

                let history = try await cli.json([RevisionResource].self, "history", "plain")
                #expect(history.map(\.status) == (hasCommitted ? ["active", "superseded"] : ["failed", "active"]))
                if !hasCommitted { #expect(history[0].failure?.contains("the control plane ended in stage") == true) }

                // The name is free again.
                try PlainApp(version: 3).write(cli)
                try await cli.succeed("deploy", manifest)
                #expect(try await cli.sum().version == 3)
                try await cli.succeed("down")
                #expect(await cli.finish(next).status == 0)
            }
        }
    #endif

    @Test(.timeLimit(.minutes(15)), arguments: Machine.outerRungs)
    func killedControlPlaneIsFollowedByOneThatAdoptsTheSandbox(_ rung: Isolation) async throws {
        try await CLI.with(rung) { cli in
            let first = try await cli.serve()
            try await cli.succeed("deploy", try PlainApp().write(cli))
            let before = try await cli.status("plain")
            let sum = try await cli.sum()
            first.signal(SIGKILL)
            #expect(await cli.finish(first).signal == SIGKILL)
            #expect(try await cli("status").stderr.contains("no control plane runs"))

            let second = try await cli.serve()
            let after = try await cli.status("plain")
            #expect(after.sandbox == before.sandbox)
            #expect(after.nonce == before.nonce)
            #expect(after.restarts == 0)
            #expect(try await cli.sum().pid == sum.pid)
            #expect(try await cli.succeed("logs", "plain").stdout.contains("version 1 starts"))
            try await cli.succeed("down")
            #expect(await cli.finish(second).status == 0)
        }
    }

    @Test(.timeLimit(.minutes(15)), arguments: Machine.outerRungs)
    func sandboxesThatWereTakenDownComeBackWithTheNextControlPlane(_ rung: Isolation) async throws {
        try await CLI.with(rung) { cli in
            try await cli.succeed("deploy", try PlainApp().write(cli))
            try await cli.succeed("down")
            #expect(cli.leaks() == [])
            let server = try await cli.serve()
            // A name that serves is never unknown: clients are told to come back.
            let early = try await cli.ask("plain/predict", "{\"input\": [1]}")
            #expect([200, 503].contains(early.status), "\(early.text)")
            let status = try await cli.settled("plain")
            #expect(status.state == "serving")
            #expect(status.revision == 1)
            #expect(try await cli.sum().version == 1)
            try await cli.succeed("down")
            #expect(await cli.finish(server).status == 0)
        }
    }

    @Test(.timeLimit(.minutes(15)), arguments: [SIGTERM, SIGINT])
    func stoppedControlPlaneLeavesTheSandboxesToTheNext(_ signal: Int32) async throws {
        try await CLI.with { cli in
            let first = try await cli.serve()
            try await cli.succeed("deploy", try PlainApp().write(cli))
            let before = try await cli.status("plain")
            first.signal(signal)
            let ending = await cli.finish(first)
            #expect(ending.status == 0)
            #expect(ending.signal == nil)
            #expect(cli.noteSandboxes() == [before.sandbox])
            let second = try await cli.serve()
            #expect(try await cli.status("plain").sandbox == before.sandbox)
            #expect(try await cli.sum().version == 1)
            try await cli.succeed("down")
            #expect(await cli.finish(second).status == 0)
        }
    }

    @Test(.timeLimit(.minutes(15)), arguments: Machine.outerRungs)
    func appThatEndsWhileItServesIsStartedAgain(_ rung: Isolation) async throws {
        try await CLI.with(rung) { cli in
            try await cli.succeed("deploy", try PlainApp().write(cli))
            let before = try await cli.status("plain")
            let logs = try cli.start(["logs", "plain", "--follow"])
            let last = try await cli.ask("plain/predict", "{\"input\": \"end\"}")
            #expect(last.status == 502)
            try await logs.prints("restarting: the app ended with exit code 7")
            let after = try await cli.settled("plain")
            #expect(after.state == "serving")
            #expect(after.restarts == 1)
            #expect(after.revision == 1)
            #expect(after.sandbox != before.sandbox)
            #expect(cli.noteSandboxes() == [after.sandbox])
            #expect(try await cli.sum().sum == 6.5)
            logs.signal(SIGINT)
            _ = await cli.finish(logs)
        }
    }

    @Test(.timeLimit(.minutes(15))) func deploysThatBeginTogetherShareOneControlPlane() async throws {
        try await CLI.with { cli in
            let names = ["one", "two", "three"]
            let deploys = try names.map { try cli.start(["deploy", try PlainApp(name: $0).write(cli)]) }
            for deploy in deploys {
                let outcome = await cli.finish(deploy)
                #expect(outcome.status == 0, "\(outcome.all)")
            }
            let all = try await cli.json([DeploymentResource].self, "status")
            #expect(all.map(\.name) == names.sorted())
            #expect(all.map(\.state) == ["serving", "serving", "serving"])
            #expect(cli.noteSandboxes().count == 3)
        }
    }
}
