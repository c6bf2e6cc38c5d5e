import ControlAPI
import ControlPlane
import CurlClient
import DeploymentCore
import Foundation
import Testing

@Suite struct ExecTests {
    static let rungs = Isolation.allCases

    @Test(arguments: rungs) func commandsEndWithTheirOwnCode(_ rung: Isolation) async throws {
        try await CLI.with(rung) { cli in
            try await cli.succeed("deploy", try PlainApp().write(cli))
            let both = try await cli.exec("plain", "sh", "-c", "echo out; echo err >&2; exit 7")
            #expect(both.status == 7)
            #expect(both.stdout == "out\n")
            #expect(both.stderr == "err\n")
            #expect(try await cli.exec("plain", "true").status == 0)
            #expect(try await cli.exec("plain", "sh", "-c", "kill -9 $$").status == 137)
            let missing = try await cli.exec("plain", "no-such-program")
            #expect(missing.status == 127)
            #expect(missing.stderr.contains("'no-such-program' was not found in PATH"))
            let nobody = try await cli.exec("nobody", "true")
            #expect(nobody.status == 1)
            #expect(nobody.stderr.contains("there is no deployment named nobody"))
            let nothing = try await cli("exec", "plain")
            #expect(nothing.status == 2)
            #expect(nothing.stderr.contains("Missing expected argument '-- <command> ...'"))
        }
    }

    @Test(arguments: rungs) func commandsRunBesideTheApp(_ rung: Isolation) async throws {
        try await CLI.with(rung) { cli in
            try await cli.succeed("deploy", try PlainApp(more: "env: {GREETING: hello}").write(cli))
            let script = "echo $BERTH_DEPLOYMENT $GREETING $MORE; echo serve.*"
            let inside = try await cli.exec("plain", options: ["-e", "MORE=a=b"], "sh", "-c", script)
            #expect(inside.stdout == "plain hello a=b\nserve.py\n")
            #expect(try await cli.exec("plain", options: ["-w", "/usr"], "pwd").stdout == "/usr\n")
            let ask = """
                import os, urllib.request
                print(urllib.request.urlopen("http://127.0.0.1:" + os.environ["PORT"] + "/health").status)
                """
            // Under Landlock nothing inside connects anywhere, the app's own port included.
            let answer = rung == .landlock ? "" : "200\n"
            #expect(try await cli.exec("plain", "python", "-c", ask).stdout == answer)
        }
    }

    @Test(arguments: rungs) func inputReachesTheCommandWholeAndOnlyWhenAskedFor(_ rung: Isolation) async throws {
        try await CLI.with(rung) { cli in
            try await cli.succeed("deploy", try PlainApp().write(cli))
            var generator = SystemRandomNumberGenerator()
            let bytes = Data((0..<5_000_000).map { _ in UInt8.random(in: 0...255, using: &generator) })
            let path = "\(cli.folder)/bytes"
            try bytes.write(to: URL(filePath: path))
            let back = try await cli.exec("plain", options: ["-i"], input: path, "cat")
            #expect(back.status == 0, "\(back.stderr)")
            #expect(back.output == bytes)
            let none = try await cli.exec("plain", input: path, "cat")
            #expect(none.status == 0)
            #expect(none.output.isEmpty)
            // What does not read to the end is no failure of ours.
            let first = try await cli.exec("plain", options: ["-i"], input: path, "head", "-c", "3")
            #expect(first.status == 0, "\(first.stderr)")
            #expect(first.output == bytes.prefix(3))
        }
    }

    @Test(arguments: rungs) func interruptEndsTheCommandInside(_ rung: Isolation) async throws {
        try await CLI.with(rung) { cli in
            try await cli.succeed("deploy", try PlainApp().write(cli))
            let running = try cli.start(["exec", "plain", "--", "sh", "-c", "echo $$; exec sleep 98765"])
            try await running.prints("\n")
            running.signal(SIGINT)
            let outcome = await cli.finish(running)
            #expect(outcome.status == 130)
            let pid = outcome.stdout.split(separator: "\n").first.map(String.init) ?? ""
            let gone = try await cli.exec("plain", "sh", "-c", "grep -s sleep /proc/\(pid)/cmdline; test $? -gt 0")
            #expect(gone.status == 0, "\(gone.all)")
            // The second signal kills what ignores the first.
            let stubborn = try cli.start([
                "exec", "plain", "--", "sh", "-c", "trap 'echo ignored' TERM; echo ready; while :; do read x; done",
            ])
            try await stubborn.prints("ready")
            stubborn.signal(SIGTERM)
            try await stubborn.prints("ignored")
            stubborn.signal(SIGTERM)
            #expect(await cli.finish(stubborn).status == 143)
        }
    }

    @Test func closedOutputEndsTheCommand() async throws {
        try await CLI.with { cli in
            try await cli.succeed("deploy", try PlainApp().write(cli))
            let piped = try Command(
                "/bin/sh", ["-c", "'\(Machine.berth)' exec plain -- yes | head -n 2"], environment: cli.environment,
                folder: cli.folder)
            #expect(await piped.outcome().stdout == "y\ny\n")
        }
    }

    @Test func onlyTheAgentsServicesAreReachedThroughTheAPI() async throws {
        try await CLI.with { cli in
            try await cli.succeed("deploy", try PlainApp().write(cli))
            let curl = CurlClient()
            defer { curl.close() }
            let port = try cli.endpoint().apiPort
            let token = try String(contentsOfFile: "\(cli.home)/token", encoding: .utf8)
            func ask(_ method: String, _ path: String, token: String) async throws -> Int {
                try await curl.send(
                    HTTPRequest(
                        method: method, url: "http://127.0.0.1:\(port)/v1/deployments/plain/agent/\(path)",
                        headers: [(name: "Authorization", value: "Bearer \(token)")], transport: .network(.loopback))
                ).status
            }
            #expect(try await ask("GET", "health", token: token) == 204)
            #expect(try await ask("GET", "files?path=/etc/hosts", token: "wrong") == 401)
            #expect(try await ask("GET", "files?path=/etc/passwd", token: token) == 200)
            #expect(try await ask("GET", "berth/listeners", token: token) == 404)
            #expect(try await ask("GET", "files/../berth/listeners", token: token) == 404)
            #expect(try await ask("GET", "process.Process/List", token: token) == 404)
            #expect(try await ask("POST", "berth/listeners", token: token) == 404)
        }
    }
}
