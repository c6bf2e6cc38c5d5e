import BerthTestSupport
import ControlAPI
import DeploymentCore
import Foundation
import Testing

@Suite(.timeLimit(.minutes(5))) struct NetworkVerbTests {
    @Test func demandThatCannotBeEnforcedFailsBeforeAnythingIsInstalled() async throws {
        try await CLI.with(.process) { cli in
            let outcome = try await cli("deploy", try PlainApp(more: "network: none").write(cli))
            #expect(outcome.status == 12, "\(outcome.all)")
            #expect(outcome.stderr.contains("network: none cannot be enforced here"), "\(outcome.stderr)")
            #expect(outcome.stderr.contains("berth doctor"))
            #expect(!outcome.stderr.contains("✓ environment"), "\(outcome.stderr)")
            // Without the demand it is deployed, and what it reaches is said.
            let open = try await cli.succeed("deploy", try PlainApp().write(cli))
            #expect(open.stderr.contains("it reaches whatever this machine reaches"), "\(open.stderr)")
            #expect(try await cli.status("plain").network == "open")
        }
    }

    @Test func networkIsEnforcedToldAndKeptOverARestart() async throws {
        let host = try ScriptedHTTPServer { _ in ScriptedAnswer(200, "reached") }
        defer { host.close() }
        try await CLI.with(.namespaces) { cli in
            let manifest = try PlainApp(more: "network: [127.0.0.1:\(host.port), other.example]").write(cli)
            let deployed = try await cli.succeed("deploy", manifest)
            #expect(deployed.stderr.contains("network 2 hosts"), "\(deployed.stderr)")
            #expect(try await cli.status("plain").network == "2 hosts")
            #expect(try await cli.succeed("status").stdout.contains("2 hosts"))
            #expect(try await tunnel(cli, "127.0.0.1", host.port) == "reached")
            #expect(
                try await tunnel(cli, "127.0.0.1", 1).contains("403 127.0.0.1:1 is not in the manifest's network list"))
            let log = try cli.start(["logs", "plain", "--follow"])
            try await log.prints("berth egress refused: 127.0.0.1:1 is not in the manifest's network list")
            log.signal(SIGINT)
            _ = await cli.finish(log)

            // The next control plane finds the sandbox and opens its way again.
            let sandbox = try await cli.status("plain").sandbox
            try await cli.succeed("down", "--keep-sandboxes")
            let server = try await cli.serve()
            #expect(try await cli.status("plain").sandbox == sandbox)
            #expect(try await cli.status("plain").network == "2 hosts")
            #expect(try await tunnel(cli, "127.0.0.1", host.port) == "reached")

            // A plan says what would change.
            let next = try PlainApp(more: "network: egress").write(cli)
            let plan = try await cli.succeed("plan", next)
            #expect(
                plan.stdout.contains("  network      [127.0.0.1:\(host.port), other.example] → egress\n"),
                "\(plan.stdout)")
            try await cli.succeed("deploy", next)
            #expect(try await tunnel(cli, "127.0.0.1", host.port).contains("403 127.0.0.1:\(host.port) is loopback"))
            try await cli.succeed("down")
            _ = await cli.finish(server)
        }
    }

    /// What a command in the sandbox gets through its proxy.
    private func tunnel(_ cli: CLI, _ name: String, _ port: Int) async throws -> String {
        let script = """
            import http.client, os, urllib.parse
            proxy = urllib.parse.urlsplit(os.environ["https_proxy"])
            connection = http.client.HTTPConnection(proxy.hostname, proxy.port, timeout=20)
            connection.set_tunnel("\(name)", \(port))
            try:
                connection.request("GET", "/")
                print(connection.getresponse().read().decode(), end="")
            except OSError as error:
                print(error, end="")
            """
        return try await cli.succeed("exec", "plain", "--", "python", "-c", script).stdout
    }
}
