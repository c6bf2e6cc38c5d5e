import ControlAPI
import DeploymentCore
import Foundation
import Testing

/// One of the examples: how it is deployed, and an answer that is known to be true.
struct Example: Sendable, CustomTestStringConvertible {
    var name: String
    var manifest: String
    var request: String
    var headers: [(name: String, value: String)] = []
    var isRight: @Sendable (JSONValue) -> Bool

    var testDescription: String { name }

    /// Rendered and own apps, each with an answer that was computed elsewhere.
    static let all = [
        Example(name: "iris", manifest: "manifests/iris.yaml", request: "{\"input\": [6.0, 2.9, 4.5, 1.5]}") {
            $0["success"] == true && $0["prediction"]?[0] == 1 && near($0["confidence"]?[0] ?? $0["confidence"], 0.8131)
        },
        Example(name: "digits", manifest: "manifests/digits.yaml", request: "{\"input\": [\(seven)]}") {
            $0["prediction"]?[0] == 7 && near($0["confidence"]?[0] ?? $0["confidence"], 0.9015)
        },
        Example(
            name: "language", manifest: "manifests/function.yaml",
            request: "{\"input\": \"le chat est sur la table\"}"
        ) {
            $0["prediction"]?["language"] == "fr" && near($0["prediction"]?["share"], 0.8)
        },
        Example(
            name: "embeddings", manifest: "Examples/embeddings/berth.yaml",
            request: "{\"sentences\": [\"A man is eating food.\"]}"
        ) {
            $0["dimension"] == 384 && $0["embeddings"]?[0]?.array?.count == 384
                && near($0["embeddings"]?[0]?[0], 0.033242) && near($0["embeddings"]?[0]?[4], -0.138702)
        },
        Example(
            name: "wine", manifest: "Examples/own-fastapi-package/berth.yaml",
            request: "{\"alcohol\": 14.23, \"flavanoids\": 3.06, \"proline\": 1065}"
        ) {
            $0["cultivar"] == 0 && near($0["probability"], 0.99322)
        },
    ]

    private static let seven = """
        0, 0, 2, 13, 16, 9, 0, 0, 0, 0, 12, 12, 7, 16, 3, 0, 0, 1, 14, 3, 0, 16, 4, 0, 0, 0, 0, 4, 10, 16, 6, 0, \
        0, 0, 0, 13, 16, 16, 9, 0, 0, 0, 0, 5, 13, 1, 0, 0, 0, 0, 0, 11, 9, 0, 0, 0, 0, 0, 1, 16, 4, 0, 0, 0
        """

    private static func near(_ value: JSONValue?, _ expected: Double) -> Bool {
        value?.double.map { abs($0 - expected) < 0.001 } ?? false
    }
}

@Suite struct LifecycleTests {
    // Deploy, ask, deploy again under load, roll back, look, destroy.
    @Test(.timeLimit(.minutes(15)), arguments: Example.all, Isolation.allCases.filter { !$0.isOnRequest })
    func exampleLivesItsWholeLife(_ example: Example, _ rung: Isolation) async throws {
        try await CLI.with(rung) { cli in
            try cli.copy("manifests", "Examples")
            let before = try digests(of: cli.folder)
            let name = example.name

            let first = try await cli.succeed("deploy", example.manifest)
            #expect(first.stdout.hasPrefix("curl -s "))
            #expect(first.stderr.contains("revision 1 of \(name) serves"))
            #expect(first.stderr.contains("no isolation") == (rung == .process))
            let one = try await cli.status(name)
            #expect(one.revision == 1)
            #expect(one.state == "serving")
            #expect(one.isolation == rung)
            try await expectRightAnswer(example, cli, from: one)

            let traffic = try await Traffic.during(cli, "\(name)/predict", example.request) { traffic in
                await traffic.more(20)
                try await cli.succeed("deploy", example.manifest, "--quiet")
                await traffic.sees(try #require(try await cli.status(name).nonce))
                await traffic.more(20)
            }
            #expect(await traffic.failures == [])
            #expect(await traffic.revisions.count == 2)
            let two = try await cli.status(name)
            #expect(two.revision == 2)
            #expect(two.nonce != one.nonce)
            #expect(two.sandbox != one.sandbox)

            let back = try await cli.succeed("rollback", name)
            #expect(back.stdout == "revision 1 of \(name) serves\n")
            let three = try await cli.status(name)
            #expect(three.revision == 1)
            try await expectRightAnswer(example, cli, from: three)

            let history = try await cli.json([RevisionResource].self, "history", name)
            #expect(history.map(\.number) == [2, 1])
            #expect(history.map(\.status) == ["superseded", "active"])
            #expect(history[0].bundle == history[1].bundle)
            #expect(history[0].environment == history[1].environment)
            #expect(try await cli.succeed("history", name).stdout.contains("superseded"))
            #expect(try await cli.succeed("status").stdout.contains("\(name)  "))

            let predicted = try await cli.succeed("predict", name, example.request)
            #expect(example.isRight(try JSONValue(parsing: predicted.stdout)))
            // Replacing a revision is no accident, and reads like none.
            let log = try await cli.succeed("logs", name).stdout
            #expect(!log.contains("went away"), "\(log)")

            #expect(try await cli.succeed("destroy", name, "--yes").stdout == "\(name): destroyed\n")
            #expect(try await cli.ask("\(name)/predict", example.request).status == 404)
            #expect(cli.noteSandboxes() == [])
            #expect(try await cli("status", name).stderr.contains("there is no deployment named \(name)"))
            #expect(try digests(of: cli.folder) == before)
        }
    }

    // gVisor is slow to start, so that one example has to stand for all.
    @Test(.timeLimit(.minutes(15))) func exampleLivesItsWholeLifeOnGvisor() async throws {
        let example = try #require(Example.all.first { $0.name == "language" })
        try await exampleLivesItsWholeLife(example, .gvisor)
    }

    @Test(arguments: Machine.outerRungs)
    func outputOfEachRevisionIsKeptApartAndFollowed(_ rung: Isolation) async throws {
        try await CLI.with(rung) { cli in
            let manifest = try PlainApp(prologue: "print('to stderr', file=__import__('sys').stderr)").write(cli)
            try await cli.succeed("deploy", manifest)
            let log = try await cli.succeed("logs", "plain").stdout
            let lines = log.split(separator: "\n").map(String.init)
            #expect(lines.count == 2, "\(log)")
            for (stream, text) in [("out", "version 1 starts"), ("err", "to stderr")] {
                let isThere = lines.contains { $0.hasSuffix("Z \(stream) \(text)") }
                #expect(isThere, "\(log)")
            }
            let following = try cli.start(["logs", "plain", "--follow", "--tail", "0"])
            try PlainApp(version: 2).write(cli)
            try await cli.succeed("deploy", manifest)
            #expect(try await cli.succeed("logs", "plain").stdout.hasSuffix("out version 2 starts\n"))
            let older = try await cli.succeed("logs", "plain", "--revision", "1", "--tail", "9").stdout
            #expect(older.contains("version 1 starts"))
            #expect(!older.contains("version 2"))
            following.signal(SIGINT)
            #expect(await cli.finish(following).stdout.contains("version 1") == false)
        }
    }

    @Test(.timeLimit(.minutes(15)), arguments: Machine.outerRungs)
    func appWithUploadsAndAKeyIsServedByItsOwnRules(_ rung: Isolation) async throws {
        try await CLI.with(rung) { cli in
            try cli.copy("Examples")
            let deployed = try await cli.succeed("deploy", "Examples/own-flask/berth.yaml")
            #expect(deployed.stdout.contains("-F 'image=@samples/seven.pgm'"))
            #expect(try await cli.ask("inspector/predict", "{}").status == 401)
            let status = try await cli.status("inspector")
            let refused = try await cli.ask(
                "inspector/predict", "{}", headers: [(name: "X-Api-Key", value: "only-for-this-example")])
            #expect(refused.status == 400)
            #expect(refused.revision == status.nonce)
            // What the user pastes works from the folder of the manifest, once the key that is no log's business is in.
            let line = try #require(deployed.stdout.split(separator: "\n").last)
            #expect(!line.contains("only-for"))
            let curl = String(line.replacing("…", with: "only-for-this-example"))
            let pasted = try Command(
                "/bin/sh", ["-c", curl], environment: cli.environment,
                folder: "\(cli.folder)/Examples/own-flask")
            let answer = try JSONValue(parsing: (await pasted.outcome()).stdout)
            #expect(answer["digit"] == 7)
            #expect(answer["file"] == "seven.pgm")
        }
    }

    private func expectRightAnswer(_ example: Example, _ cli: CLI, from status: DeploymentResource) async throws {
        let answer = try await cli.ask("\(example.name)/predict", example.request, headers: example.headers)
        #expect(answer.status == 200)
        #expect(answer.revision == status.nonce)
        #expect(example.isRight(try answer.json()), "\(answer.text)")
    }

    private func digests(of folder: String) throws -> [String: Data] {
        var contents: [String: Data] = [:]
        for path in try FileManager.default.subpathsOfDirectory(atPath: folder) {
            contents[path] = FileManager.default.contents(atPath: "\(folder)/\(path)")
        }
        return contents
    }
}
