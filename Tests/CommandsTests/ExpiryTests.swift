import ControlAPI
import DeploymentCore
import Foundation
import Testing

@testable import Commands

@Suite(.timeLimit(.minutes(5))) struct ExpiryTests {
    @Test(arguments: Machine.outerRungs)
    func deploymentEndsWithItsTimeAndIsExtendedBefore(_ rung: Isolation) async throws {
        try await CLI.with(rung) { cli in
            let server = try await cli.serve()
            let manifest = try PlainApp().write(cli)
            try await cli.succeed("deploy", manifest)
            #expect(try await cli.succeed("status").stdout.contains("EXPIRES") == false)
            try await cli.succeed("deploy", manifest, "--ttl", "1d2h")
            #expect(try await cli.succeed("status").stdout.contains(/EXPIRES +URL\n.* in 1d 2h +http/))
            #expect(try await cli.succeed("extend", "plain", "2d").stdout == "plain: expires in 2d\n")
            // Less is more only where that is said.
            #expect(try await cli.succeed("extend", "plain", "1h").stdout.contains("expires in 2d"))
            #expect(try await cli.succeed("extend", "plain", "1h30m", "--exact").stdout.contains("in 1h 30m"))
            #expect(try await cli.succeed("extend", "plain", "never").stdout == "plain: never expires\n")
            #expect(try await cli("extend", "plain", "soon").status == 2)
            #expect(try await cli("extend", "nobody", "1h").status == 1)
            #expect(try await cli("deploy", manifest, "--ttl", "0s").status == 2)

            try await cli.succeed("extend", "plain", "1s", "--exact")
            try await server.says("deployment plain has expired and is destroyed")
            #expect(try await cli("status", "plain").stderr.contains("there is no deployment named plain"))
            #expect(try await cli.ask("plain/predict", "{}").status == 404)
            #expect(cli.noteSandboxes() == [])
            #expect(cli.remains() == [])
            #expect(try await cli.events().suffix(2) == ["expired", "destroyed"])
            #expect(try await cli.succeed("events").stdout.contains(/plain +destroyed/))
            try await cli.succeed("down")
            #expect(await cli.finish(server).status == 0)
        }
    }

    @Test func endThatPassesWhileNoControlPlaneRunsComesWithTheNext() async throws {
        try await CLI.with { cli in
            let first = try await cli.serve()
            try await cli.succeed("deploy", try PlainApp().write(cli), "--ttl", "1h")
            let extended = try await cli.json(DeploymentResource.self, "extend", "plain", "2s", "--exact")
            let end = try #require(extended.expiresAt)
            first.signal(SIGKILL)
            _ = await cli.finish(first)
            while Int64(Date().timeIntervalSince1970 * 1_000) <= end { await Task.yield() }
            let next = try await cli.serve()
            #expect(try await cli.json([DeploymentResource].self, "status").isEmpty)
            #expect(cli.noteSandboxes() == [])
            #expect(try await cli.events().suffix(2) == ["expired", "destroyed"])
            try await cli.succeed("down")
            #expect(await cli.finish(next).status == 0)
        }
    }

    @Test func timesLeftAreShort() {
        let cases: [(Int64, String)] = [
            (0, "0s"), (-5, "0s"), (1, "1s"), (59_000, "59s"), (60_000, "1m"), (3_599_001, "1h"), (5_400_000, "1h 30m"),
            (90_000_000, "1d 1h"), (86_460_000, "1d"),
        ]
        for (left, text) in cases { #expect(Output.until(1_000 + left, now: 1_000) == text) }
    }
}
