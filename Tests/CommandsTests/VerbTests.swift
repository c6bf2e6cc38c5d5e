import ControlAPI
import ControlPlane
import DeploymentCore
import Foundation
import Testing

@Suite struct VerbTests {
    @Test(arguments: Machine.outerRungs)
    func testReportsAndLeavesNothingBesideWhatServes(_ rung: Isolation) async throws {
        try await CLI.with(rung) { cli in
            let manifest = try PlainApp().write(cli)
            try await cli.succeed("deploy", manifest)
            let before = try await cli.status("plain")
            try PlainApp(version: 2).write(cli)
            let passed = try await cli.succeed("test", manifest, "--junit", "good.xml", "--json", "good.json")
            #expect(passed.stdout == "plain: 1 smoke prediction passed, nothing left behind\n")
            let good = try TestReport("good", cli)
            #expect(good.rollout.status == "promoted")
            #expect(good.rollout.kind == "test")
            #expect(good.rollout.smoke.map(\.passed) == [true])
            #expect(good.cases.contains { $0.name == "a sum" && $0.kind == "smoke" && $0.failure == nil })
            #expect(good.cases.filter { $0.kind == "stage" }.map(\.name).starts(with: ["artifacts", "environment"]))

            try PlainApp(version: 2, expectedSum: 6.4).write(cli)
            let failed = try await cli("test", manifest, "--junit", "bad.xml", "--json", "bad.json")
            #expect(failed.status == 15)
            let bad = try TestReport("bad", cli)
            #expect(bad.rollout.status == "failed")
            let failure = bad.cases.first { $0.name == "a sum" }?.failure
            #expect(failure == "$.sum: expected 6.4, got 6.5")

            let after = try await cli.status("plain")
            #expect(after.sandbox == before.sandbox)
            #expect(after.revision == 1)
            #expect(try await cli.sum().version == 1)
            #expect(cli.noteSandboxes() == [before.sandbox])
            #expect(try await cli.json([DeploymentResource].self, "status").map(\.name) == ["plain"])
        }
    }

    @Test func testOfAnAppThatDoesNotStartSkipsItsPredictions() async throws {
        try await CLI.with { cli in
            let manifest = try PlainApp(prologue: "raise SystemExit(3)").write(cli)
            let outcome = try await cli("test", manifest, "--junit", "x.xml", "--json", "x.json")
            #expect(outcome.status == 13)
            let report = try TestReport("x", cli)
            #expect(report.cases.first { $0.name == "health" }?.failure?.contains("exit code 3") == true)
            #expect(report.cases.first { $0.name == "a sum" }?.isSkipped == true)
            #expect(cli.noteSandboxes() == [])
        }
    }

    @Test func planTellsNewSameAndChanged() async throws {
        try await CLI.with { cli in
            let manifest = try PlainApp().write(cli)
            let new = try await cli.succeed("plan", manifest)
            #expect(new.stdout.contains("plain: would be new"))
            #expect(new.stdout.contains("+ serve.py"))
            #expect(!FileManager.default.fileExists(atPath: "\(cli.folder)/plain/requirements.lock"))
            try await cli.succeed("deploy", manifest)
            #expect(try await cli.succeed("plan", manifest).stdout.contains("plain: nothing would change"))
            #expect(try await cli.succeed("deploy", "--dry-run", manifest).stdout.contains("nothing would change"))
            #expect(try await cli.status("plain").revision == 1)
            try PlainApp(version: 2).write(cli)
            let changed = try await cli.succeed("plan", manifest)
            #expect(changed.stdout.contains("plain: would replace revision 1"))
            #expect(changed.stdout.contains("files        1 of "), "\(changed.stdout)")
            #expect(changed.stdout.contains(/~ serve\.py  [0-9a-f]{12} → [0-9a-f]{12}/))
            #expect(changed.stdout.contains("environment  same, lock current"))
        }
    }

    @Test(.timeLimit(.minutes(10))) func lockIsCheckedAndMadeAgain() async throws {
        try await CLI.with { cli in
            try cli.copy("manifests", "Examples")
            #expect(
                try await cli.succeed("lock", "--check", "manifests/iris.yaml").stdout.hasSuffix("iris.lock: current\n")
            )
            #expect(try await cli.succeed("lock", "--check", "--quiet", "manifests/iris.yaml").stdout == "")
            let manifest = try PlainApp().write(cli)
            let missing = try await cli("lock", "--check", manifest)
            #expect(missing.status == 11)
            #expect(missing.stderr.contains("requirements.lock does not exist"))
            #expect(try await cli.succeed("lock", manifest).stdout.hasSuffix("requirements.lock: 0 packages\n"))
            try await cli.succeed("lock", "--check", manifest)
            try PlainApp(more: "requirements: [idna==3.10]").write(cli)
            let stale = try await cli("lock", "--check", manifest)
            #expect(stale.status == 11)
            #expect(stale.stderr.contains("is out of date"))
            #expect(stale.stderr.contains("berth lock \(manifest)"))
        }
    }

    @Test(arguments: ["iris", "digits", "function"])
    func renderedAppIsCompletePython(_ name: String) async throws {
        try await CLI.with { cli in
            try cli.copy("manifests", "Examples")
            let rendered = try await cli.succeed("render", "manifests/\(name).yaml", "--to", "out")
            let paths = rendered.stdout.split(separator: "\n").map(String.init)
            #expect(
                Set(paths.map { URL(fileURLWithPath: $0).lastPathComponent }).isSuperset(of: ["app.py", "launch.py"]))
            for path in paths where path.hasSuffix(".py") {
                let check = try Command(
                    "/usr/bin/env", ["python3", "-c", "import ast, sys; ast.parse(open(sys.argv[1]).read())", path],
                    environment: cli.environment, folder: cli.folder)
                #expect(await check.outcome().status == 0, "\(path)")
            }
            let model = ["iris": "iris.joblib", "digits": "digits.onnx", "function": "predict.py"][name] ?? ""
            #expect(FileManager.default.fileExists(atPath: "\(cli.folder)/out/\(model)"))
        }
    }

    @Test func validManifestsAreCalledValid() async throws {
        try await CLI.with { cli in
            try cli.copy("manifests", "Examples")
            for example in Example.all {
                #expect(try await cli.succeed("validate", example.manifest).stdout.contains(": valid, "))
                let manifest = try JSONValue(
                    parsing: try await cli.succeed("validate", example.manifest, "--output", "json").stdout)
                #expect(manifest["name"]?.string == example.name)
            }
            let schema = try JSONValue(parsing: try await cli.succeed("validate", "--schema").stdout)
            let committed = try #require(
                FileManager.default.contents(atPath: "\(cli.folder)/manifests/berth.schema.json"))
            #expect(schema == (try JSONValue(parsing: Array(committed))))
        }
    }

    @Test(.timeLimit(.minutes(10))) func scaffoldDeploysAsItIs() async throws {
        try await CLI.with { cli in
            let folder = "\(cli.folder)/My First_Model"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            #expect(try await cli.succeed("init", in: folder).stdout == "predict.py\nmanifest.yaml\n")
            let again = try await cli("init", in: folder)
            #expect(again.status == 2)
            #expect(again.stderr.contains("predict.py is there already"))
            try await cli.succeed("deploy", in: folder)
            let answer = try await cli.ask("my-first-model/predict", "{\"input\": [1, 2, 3]}")
            #expect(try answer.json()["prediction"]?.double == 6)
        }
    }

    @Test(.timeLimit(.minutes(10))) func everyVerbWithJSONPrintsOneDocument() async throws {
        try await CLI.with { cli in
            let manifest = try PlainApp().write(cli)
            func document(_ arguments: String..., status: Int32 = 0) async throws -> JSONValue {
                let outcome = await cli.finish(try cli.start(arguments + ["--output", "json"]))
                #expect(outcome.status == status, "\(outcome.all)")
                return try #require(try? JSONValue(parsing: outcome.stdout), "\(arguments): \(outcome.stdout)")
            }
            #expect(try await document("plan", manifest)["deployment"] == "plain")
            #expect(try await document("validate", manifest)["name"] == "plain")
            #expect(try await document("lock", manifest)["packages"] == "0")
            #expect(try await document("lock", "--check", manifest).object != nil)
            #expect(try await document("deploy", manifest)["status"] == "promoted")
            #expect(try await document("deploy", manifest)["revision"] == 2)
            #expect(try await document("test", manifest)["kind"] == "test")
            #expect(try await document("rollback", "plain")["status"] == "promoted")
            #expect(try await document("status")[0]?["revision"] == 1)
            #expect(try await document("status", "plain")["state"] == "serving")
            #expect(try await document("history", "plain")[1]?["status"] == "active")
            #expect(try await document("status", "nobody", status: 1)["error"]?["code"] == "not_found")
            try PlainApp(expectedSum: 6.4).write(cli)
            #expect(try await document("deploy", manifest, status: 15)["failure"]?["code"] == "smoke_failed")
            #expect(try await document("test", manifest, status: 15)["failure"]?["code"] == "smoke_failed")
        }
    }

    @Test func doctorEndsWellWhereOneRungWorks() async throws {
        try await CLI.with { cli in
            let text = try await cli("doctor")
            let json = try await cli("doctor", "--output", "json")
            let checks = try JSONDecoder().decode([Doctor.Check].self, from: Data(json.stdout.utf8))
            #expect(text.status == (checks.contains { $0.verdict == .bad } ? 12 : 0), "\(text.all)")
            #expect(json.status == text.status)
            let names = checks.map(\.name)
            let hasNamespaces = checks.contains { $0.name == "isolation namespaces" && $0.verdict == .good }
            #expect(
                names
                    == [
                        "home", "isolation gvisor", "isolation namespaces", "isolation landlock", "isolation process",
                    ] + (hasNamespaces ? ["ids"] : []) + ["network", "uv", "python", "installing", "templates"])
            for check in checks { #expect(text.stdout.contains("\(check.name): \(check.finding)")) }
            let broken = try await cli("doctor", environment: ["BERTH_AGENT": "/nonexistent/agent"])
            #expect(broken.status == 12)
            #expect(broken.stdout.contains("✗ isolation process"))
        }
    }

    @Test func deployProgramIsShortForTheVerb() async throws {
        try await CLI.with { cli in
            let manifest = try PlainApp().write(cli)
            let outcome = await cli.finish(try cli.start([manifest], program: "deploy"))
            #expect(outcome.status == 0, "\(outcome.all)")
            #expect(outcome.stderr.contains("revision 1 of plain serves"))
            #expect(try await cli.sum().sum == 6.5)
            #expect(await cli.finish(try cli.start(["nowhere.yaml"], program: "deploy")).status == 2)
        }
    }

    @Test func quietPrintsTheResultOnly() async throws {
        try await CLI.with { cli in
            let manifest = try PlainApp().write(cli)
            let deployed = try await cli.succeed("deploy", "--quiet", manifest)
            #expect(deployed.stderr.isEmpty, "\(deployed.stderr)")
            #expect(deployed.stdout.wholeMatch(of: /curl -s http:\/\/127\.0\.0\.1:\d+\/plain\/predict [^\n]*\n/) != nil)
            let tested = try await cli.succeed("test", "-q", manifest)
            #expect(tested.stderr.isEmpty)
            let started = try await cli.succeed("deploy", "-q", "--no-wait", manifest)
            #expect(started.stdout.wholeMatch(of: /rol_[a-z0-9]{16}\n/) != nil)
            try await cli.succeed("status", "plain", "--wait", "--quiet")
            #expect(try await cli.status("plain").revision == 2)
        }
    }

    @Test func rollbackGoesWhereItIsTold() async throws {
        try await CLI.with { cli in
            let manifest = try PlainApp().write(cli)
            try await cli.succeed("deploy", manifest)
            let alone = try await cli("rollback", "plain")
            #expect(alone.status == 1)
            #expect(alone.stderr.contains("plain has no earlier revision that had the traffic"))
            for version in 2...3 {
                try PlainApp(version: version).write(cli)
                try await cli.succeed("deploy", manifest)
            }
            try await cli.succeed("rollback", "plain", "--to", "1")
            #expect(try await cli.sum().version == 1)
            try await cli.succeed("rollback", "plain", "--to", "3")
            #expect(try await cli.sum().version == 3)
            try await cli.succeed("rollback", "plain")
            #expect(try await cli.sum().version == 2)
            let same = try await cli("rollback", "plain", "--to", "2")
            #expect(same.stderr.contains("revision 2 of plain has the traffic already"))
            let unknown = try await cli("rollback", "plain", "--to", "9")
            #expect(unknown.stderr.contains("deployment plain has no revision 9"))
            let nothing = try await cli("cancel", "plain")
            #expect(nothing.stderr.contains("nothing of plain is being rolled out"))
        }
    }

    @Test func variablesAndOverridesReachTheApp() async throws {
        try await CLI.with { cli in
            let prologue = "print('seen', os.environ['GREETING'], os.environ['BERTH_DEPLOYMENT'])"
            let manifest = try PlainApp(prologue: prologue).write(cli)
            try await cli.succeed("deploy", manifest, "--env", "GREETING=hello=you", "--set", "name=other")
            #expect(try await cli.sum(of: "other").sum == 6.5)
            #expect(try await cli.succeed("logs", "other").stdout.contains("out seen hello=you other"))
            let refused = try await cli("destroy", "other")
            #expect(refused.status == 2)
            #expect(refused.stderr.contains("add --yes"))
        }
    }

    @Test(arguments: ["bash", "zsh", "fish"])
    func completionsAreAScriptOfTheShell(_ shell: String) async throws {
        try await CLI.with { cli in
            let script = try await cli.succeed("completions", shell).stdout
            #expect(script.contains("rollback"))
            #expect(script.contains("berth"))
            let path = try cli.write("completions", script)
            let check = try Command(
                "/bin/sh", ["-c", "command -v \(shell) >/dev/null || exit 0; \(shell) -n '\(path)'"],
                environment: cli.environment, folder: cli.folder)
            #expect(await check.outcome().status == 0)
        }
    }
}
