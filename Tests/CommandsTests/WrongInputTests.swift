import BerthTestSupport
import DeploymentCore
import Foundation
import Testing

// What users do wrong before anything is started: the exit code and the sentence they need.
@Suite struct WrongInputTests {
    /// Deploys one manifest that cannot work; returns what the user reads.
    private func refusal(
        _ manifest: String, files: [String: String] = [:], status: Int32, saying sentences: String...,
        at location: SourceLocation = #_sourceLocation
    ) async throws {
        try await CLI.with { cli in
            for (path, text) in files { try cli.write(path, text) }
            let outcome = try await cli("deploy", try cli.write("wrong.yaml", manifest))
            #expect(outcome.status == status, "\(outcome.all)", sourceLocation: location)
            #expect(outcome.stdout.isEmpty, sourceLocation: location)
            for sentence in sentences {
                #expect(outcome.stderr.contains(sentence), "\(outcome.stderr)", sourceLocation: location)
            }
            #expect(cli.noteSandboxes() == [], sourceLocation: location)
        }
    }

    private static let function = """
        def load():
            return 2

        def predict(model, input):
            return [model * x for x in input]

        """

    @Test func misspelledKeyIsAnsweredWithTheRightOne() async throws {
        try await refusal(
            "name: x\nmodel: predict.py\nsmkoe: []\n", files: ["predict.py": Self.function], status: 2,
            saying: "wrong.yaml:3:1: unknown key 'smkoe'", "did you mean 'smoke'?", "1 error in the manifest")
    }

    @Test func wrongTypeIsShownWhereItStands() async throws {
        try await refusal(
            "name: x\nmodel: predict.py\nserver: {port: http}\n", files: ["predict.py": Self.function], status: 2,
            saying: "wrong.yaml:3:16: 'server.port' must be a whole number, not text", "server: {port: http}")
    }

    @Test func manifestThatIsNotThereIsNamed() async throws {
        try await CLI.with { cli in
            let outcome = try await cli("deploy", "nowhere.yaml")
            #expect(outcome.status == 2)
            #expect(outcome.stderr.contains("there is no manifest at nowhere.yaml"))
            #expect(outcome.stderr.contains("berth init"))
        }
    }

    @Test func missingModelFileIsNamedWithWhereItWasSought() async throws {
        try await refusal(
            "name: x\nmodel: nothere.py\n", status: 10, saying: "model file nothere.py is missing", "looked in")
    }

    @Test func changedModelFileIsRefusedWithBothDigests() async throws {
        let pinned = String(repeating: "0123456789abcdef", count: 4)
        try await refusal(
            "name: x\nmodel:\n  files:\n    - {source: predict.py, sha256: \(pinned)}\n",
            files: ["predict.py": Self.function], status: 10,
            saying: "predict.py has sha256 ", "but \(pinned) is pinned", "pin the new digest")
    }

    @Test(.timeLimit(.minutes(10))) func packageThatDoesNotExistIsNamedWithTheLikelyOne() async throws {
        try await refusal(
            "name: x\nmodel: predict.py\nrequirements: [nummpy==1.0]\n", files: ["predict.py": Self.function],
            status: 11,
            saying: "there is no package named `nummpy` (requirement `nummpy==1.0`)", "did you mean numpy?")
    }

    @Test(.timeLimit(.minutes(10))) func versionsThatExcludeEachOtherAreBothNamed() async throws {
        try await refusal(
            "name: x\nmodel: predict.py\nrequirements: [flask==3.1.3, werkzeug==2.0.0]\n",
            files: ["predict.py": Self.function], status: 11,
            saying: "requirements contradict each other", "flask==3.1.3", "werkzeug==2.0.0",
            "loosen one of these versions")
    }

    @Test func portThatIsTakenIsNamedBeforeAnythingStarts() async throws {
        let other = try ScriptedHTTPServer { (_: ScriptedRequest) in ScriptedAnswer() }
        defer { other.close() }
        try await CLI.with { cli in
            for variable in ["BERTH_API_PORT", "BERTH_GATEWAY_PORT"] {
                let server = try cli.start(["serve"], environment: [variable: "\(other.port)"])
                let outcome = await cli.finish(server)
                #expect(outcome.status == 1)
                #expect(outcome.stderr.contains("port \(other.port) is already taken"), "\(outcome.stderr)")
                let deploy = try await cli(
                    "deploy", try PlainApp().write(cli), environment: [variable: "\(other.port)"])
                #expect(deploy.status == 1)
                #expect(deploy.stderr.contains("the control plane did not start"), "\(deploy.stderr)")
                #expect(deploy.stderr.contains("port \(other.port) is already taken"), "\(deploy.stderr)")
            }
        }
    }

    @Test func secondControlPlaneOfAHomeIsRefused() async throws {
        try await CLI.with { cli in
            let server = try await cli.serve()
            let second = try await cli("serve")
            #expect(second.status == 1)
            #expect(second.stderr.contains("a control plane already serves this home"))
            #expect(second.stderr.contains("berth down"))
            try await cli.succeed("down")
            #expect(await cli.finish(server).status == 0)
        }
    }

    @Test(arguments: [["status"], ["logs", "x"], ["predict", "x", "{}"], ["rollback", "x"], ["history", "x"]])
    func verbsThatNeedAControlPlaneSayHowToGetOne(_ arguments: [String]) async throws {
        try await CLI.with { cli in
            let outcome = await cli.finish(try cli.start(arguments))
            #expect(outcome.status == 1)
            #expect(outcome.stderr.contains("no control plane runs for \(cli.home)"))
            #expect(outcome.stderr.contains("`berth deploy` starts one"))
        }
    }

    @Test(arguments: [
        (["deploy", "--nonsense"], "Unknown option '--nonsense'"), (["deploy", "a", "b"], "Unexpected argument 'b'"),
        (["frobnicate"], "frobnicate"), (["predict", "x", "{"], "the body is not JSON"),
        (["completions", "tcsh"], "choose bash, zsh or fish"), (["deploy", "--env", "=1"], "is not of the form K=V"),
        (["rollback"], "Missing expected argument"), (["render"], "Missing expected"),
        (["deploy", "--output", "xml"], "'xml' is invalid"),
    ])
    func wrongUsageEndsWithTwoAndSaysWhatIsWrong(_ arguments: [String], _ sentence: String) async throws {
        try await CLI.with { cli in
            try cli.write("manifest.yaml", "name: x\nmodel: predict.py\n")
            let outcome = await cli.finish(try cli.start(arguments))
            #expect(outcome.status == 2)
            #expect(outcome.stderr.contains(sentence), "\(outcome.all)")
            #expect(outcome.stdout.isEmpty)
        }
    }

    @Test(arguments: ["BERTH_API_PORT", "BERTH_ISOLATION", "BERTH_HOME"])
    func variableThatMakesNoSenseIsNamed(_ variable: String) async throws {
        try await CLI.with { cli in
            let outcome = try await cli("status", environment: [variable: "nonsense"])
            #expect(outcome.status == 2)
            #expect(outcome.stderr.contains("\(variable) is nonsense, but has to be"))
        }
    }

    @Test func homeThatOthersCanWriteIsRefused() async throws {
        try await CLI.with { cli in
            let open = "\(cli.folder)/open"
            try FileManager.default.createDirectory(
                atPath: open, withIntermediateDirectories: true)
            try FileManager.default.setAttributes([.posixPermissions: 0o777], ofItemAtPath: open)
            let outcome = try await cli("serve", environment: ["BERTH_HOME": open])
            #expect(outcome.status != 0)
            #expect(outcome.stderr.contains("\(open) belongs to or can be written by others"), "\(outcome.stderr)")
            #expect(outcome.stderr.contains("chmod 700 \(open)"))
        }
    }

    @Test func fullDiskIsNamedAndTheControlPlaneGoesOn() async throws {
        try await Machine.require(.namespaces)
        try await CLI.with { cli in
            try PlainApp(more: "model: big.bin").write(cli)
            let big = "\(cli.folder)/plain/big.bin"
            #expect(FileManager.default.createFile(atPath: big, contents: Data(count: 40 << 20)))
            let script = """
                set -e
                mount -t tmpfs -o size=16m,mode=700 tmpfs "$HOME_OF_BERTH" || exit 77
                export BERTH_HOME="$HOME_OF_BERTH"
                "$BERTH" deploy plain/berth.yaml || echo "deploy ended with $?"
                "$BERTH" status
                "$BERTH" down
                """
            let full = "\(cli.folder)/full"
            try FileManager.default.createDirectory(atPath: full, withIntermediateDirectories: true)
            let shell = try Command(
                "/usr/bin/env", ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script],
                environment: cli.environment.merging(["HOME_OF_BERTH": full, "BERTH": Machine.berth]) { $1 },
                folder: cli.folder)
            let outcome = await shell.outcome()
            if outcome.status == 77 || outcome.stderr.contains("unshare") {
                try Test.cancel("no private tmpfs can be mounted here: \(outcome.stderr)")
            }
            #expect(outcome.status == 0, "\(outcome.all)")
            #expect(outcome.stderr.contains("no space left"), "\(outcome.stderr)")
            #expect(outcome.stderr.contains("try: free some space"))
            #expect(outcome.stdout == "deploy ended with 1\n\(Self.nothing)\nstopped\n")
        }
    }

    private static let nothing = "nothing is deployed; `berth deploy manifest.yaml` changes that"
}
