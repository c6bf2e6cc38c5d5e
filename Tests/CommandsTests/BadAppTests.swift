import ControlAPI
import DeploymentCore
import Foundation
import Testing

// Apps that do not come up, on both rungs: the exit code, the sentence, and nothing left of them.
@Suite struct BadAppTests {
    private func refusal(
        _ app: PlainApp, _ rung: Isolation, status: Int32, saying sentences: String...,
        set overrides: String = "health.startup_timeout=3s", at location: SourceLocation = #_sourceLocation
    ) async throws {
        try await CLI.with(rung) { cli in
            let outcome = try await cli("deploy", try app.write(cli), "--set", overrides)
            #expect(outcome.status == status, "\(outcome.all)", sourceLocation: location)
            #expect(outcome.stdout.isEmpty, sourceLocation: location)
            for sentence in sentences {
                #expect(outcome.stderr.contains(sentence), "\(outcome.stderr)", sourceLocation: location)
            }
            #expect(cli.noteSandboxes() == [], sourceLocation: location)
            #expect(try await cli.status("plain").revision == nil, sourceLocation: location)
        }
    }

    @Test(arguments: Machine.outerRungs)
    func appThatNeverListensIsToldThatNobodyDoes(_ rung: Isolation) async throws {
        try await refusal(
            PlainApp(port: nil), rung, status: 13, saying: "the app runs, but nothing listened on port ",
            "within 3 s", "version 1 starts", "listen on $PORT")
    }

    @Test(arguments: Machine.outerRungs)
    func appThatListensElsewhereIsToldWhere(_ rung: Isolation) async throws {
        // The port is the kernel's choice, so that two tests never meet on one.
        let prologue = """
            import socket
            elsewhere = socket.create_server(("127.0.0.1", 0))
            print(f"port <{elsewhere.getsockname()[1]}>")
            """
        try await CLI.with(rung) { cli in
            let manifest = try PlainApp(port: nil, prologue: prologue).write(cli)
            let outcome = try await cli("deploy", manifest, "--set", "health.startup_timeout=3s")
            #expect(outcome.status == 13)
            let port = try #require(outcome.stderr.firstMatch(of: /port <(\d+)>/), "\(outcome.stderr)").1
            #expect(outcome.stderr.contains("the app listens on 127.0.0.1:\(port), not on port "), "\(outcome.stderr)")
            #expect(outcome.stderr.contains("or set server.port: \(port)"))
        }
    }

    @Test(arguments: Machine.outerRungs)
    func healthWithoutALoadedModelIsNoHealth(_ rung: Isolation) async throws {
        try await refusal(
            PlainApp(isLoaded: false), rung, status: 14,
            saying: "GET /health answers, but $.model_loaded: expected true, got false", "health.expect")
    }

    @Test(arguments: Machine.outerRungs)
    func answerThatIsOffByATenthIsShownBesideTheExpectedOne(_ rung: Isolation) async throws {
        try await refusal(
            PlainApp(expectedSum: 6.4), rung, status: 15, saying: "a sum: 200 in ", "$.sum: expected 6.4, got 6.5",
            "1 of 1 smoke predictions failed", set: "health.startup_timeout=20s")
    }

    @Test func quietFailureStillSaysWhatWasExpected() async throws {
        try await CLI.with { cli in
            let outcome = try await cli("deploy", "--quiet", try PlainApp(expectedSum: 6.4).write(cli))
            #expect(outcome.status == 15)
            #expect(outcome.stderr.contains("expected 6.4, got 6.5"), "\(outcome.stderr)")
        }
    }

    @Test(arguments: Machine.outerRungs)
    func appThatEndsOnImportIsShownItsTraceback(_ rung: Isolation) async throws {
        try await refusal(
            PlainApp(prologue: "import not_installed_anywhere"), rung, status: 13,
            saying: "the app ended with exit code 1 before it was ready", "Traceback (most recent call last):",
            "ModuleNotFoundError: No module named 'not_installed_anywhere'", set: "health.startup_timeout=20s")
    }

    @Test(.timeLimit(.minutes(10)), arguments: Machine.outerRungs)
    func modelThatDoesNotLoadIsShownItsTraceback(_ rung: Isolation) async throws {
        try await CLI.with(rung) { cli in
            try cli.copy("manifests", "Examples")
            let code = "def load():\n    raise RuntimeError('weights are torn')\n\n\ndef predict(model, input): pass\n"
            try cli.write("Examples/python-function/predict.py", code)
            let outcome = try await cli("deploy", "manifests/function.yaml")
            #expect(outcome.status == 13, "\(outcome.all)")
            #expect(outcome.stderr.contains("the app ended with exit code 1 before it was ready"))
            #expect(outcome.stderr.contains("Traceback (most recent call last):"))
            #expect(outcome.stderr.contains("RuntimeError: weights are torn"))
        }
    }

    @Test(arguments: Machine.outerRungs)
    func failedRevisionLeavesTheTrafficWhereItWas(_ rung: Isolation) async throws {
        try await CLI.with(rung) { cli in
            let manifest = try PlainApp().write(cli)
            try await cli.succeed("deploy", manifest)
            let before = try await cli.status("plain")
            try PlainApp(version: 2, expectedSum: 6.4).write(cli)
            let traffic = try await Traffic.during(cli, "plain/predict", "{\"input\": [1]}") { traffic in
                await traffic.more(10)
                let refused = try await cli("deploy", manifest)
                #expect(refused.status == 15)
                await traffic.more(10)
            }
            #expect(await traffic.failures == [])
            #expect(await traffic.revisions == Set([before.nonce].compactMap { $0 }))
            #expect(try await cli.status("plain").sandbox == before.sandbox)
            #expect(cli.noteSandboxes() == [before.sandbox])
            let history = try await cli.json([RevisionResource].self, "history", "plain")
            #expect(history.map(\.status) == ["failed", "active"])
            #expect(history[0].failure?.contains("smoke predictions failed") == true)
        }
    }

    @Test(arguments: Machine.outerRungs)
    func secondRolloutOfANameIsRefusedAndTheFirstCanBeCancelled(_ rung: Isolation) async throws {
        try await CLI.with(rung) { cli in
            let manifest = try PlainApp(port: nil).write(cli)
            let first = try cli.start(["deploy", manifest])
            try await first.says(" start  ")
            let second = try await cli("deploy", manifest)
            #expect(second.status == 1)
            let rollout = try #require(try await cli.status("plain").rollout)
            #expect(second.stderr.contains("plain is already being rolled out (\(rollout), stage health)"))
            #expect(second.stderr.contains("`berth cancel plain`"))
            #expect(try await cli.succeed("cancel", "plain").stdout == "\(rollout): cancelled\n")
            let ended = await cli.finish(first)
            #expect(ended.status == 130)
            #expect(ended.stderr.contains("the rollout was cancelled, everything of it is undone"))
            #expect(cli.noteSandboxes() == [])
        }
    }

    @Test(arguments: Machine.outerRungs, [SIGINT, SIGTERM])
    func interruptedDeployUndoesEverything(_ rung: Isolation, _ signal: Int32) async throws {
        try await CLI.with(rung) { cli in
            let deploy = try cli.start(["deploy", try PlainApp(port: nil).write(cli)])
            try await deploy.says(" start  ")
            deploy.signal(signal)
            let outcome = await cli.finish(deploy)
            #expect(outcome.status == 130)
            #expect(outcome.signal == nil)
            #expect(outcome.stderr.contains("interrupted, undoing"))
            #expect(cli.noteSandboxes() == [])
            let status = try await cli.status("plain")
            #expect(status.rollout == nil)
            #expect(status.state == "inactive")
        }
    }
}
