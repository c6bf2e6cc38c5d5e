import DeploymentCore
import Foundation
import Testing

/// Real models on a control plane that another one deploys to, over a network that is slow and where every call goes wrong
/// once.
@Suite(.enabled(if: Machine.find("uv") != nil, "uv is not on PATH"))
struct ExampleCircleTests {
    /// The one with the smallest packages always; what it takes to bring the others there is a matter of minutes.
    static let examples: [(name: String, lock: String)] =
        [("digits", "manifests/digits.lock")]
        + (ProcessInfo.processInfo.environment["BERTH_TEST_CIRCLE"] == "1"
            ? [("iris", "manifests/iris.lock"), ("embeddings", "Examples/embeddings/requirements.lock")] : [])

    @Test(.timeLimit(.minutes(10)), arguments: examples)
    func exampleLivesElsewhere(_ name: String, _ lock: String) async throws {
        let example = try #require(Example.all.first { $0.name == name })
        try await Circle.with { circle in
            try await Self.addTemplate(name, to: circle.far, with: lock)
            try circle.near.copy("manifests", "Examples")
            try await circle.lives(example)
        }
    }

    /// A template whose sandboxes find every package in a folder, as nothing says that the far side reaches an index.
    private static func addTemplate(_ name: String, to far: CLI, with lock: String) async throws {
        let wheels = try await wheels(name, lock, far)
        let recipe = try far.write(
            "template/recipe",
            """
            FROM base
            COPY wheels /home/user/wheels
            ENV PIP_NO_INDEX=1 PIP_FIND_LINKS=/home/user/wheels UV_NO_INDEX=1 UV_FIND_LINKS=/home/user/wheels
            """)
        try FileManager.default.copyItem(atPath: wheels, toPath: "\(far.folder)/template/wheels")
        try await far.succeed("image", "add", "wheels", recipe)
    }

    /// The packages of a lock, downloaded once and kept beside the build.
    private static func wheels(_ name: String, _ lock: String, _ cli: CLI) async throws -> String {
        let path = "\(Machine.checkout)/\(lock)"
        let text = try String(contentsOfFile: path, encoding: .utf8)
        let mark = try #require(text.firstMatch(of: /inputs: sha256:(\w{12})/)).1
        let folder = "\(Machine.buildFolder)/commands-tests/wheels-\(name)-\(mark)"
        if FileManager.default.fileExists(atPath: folder) { return folder }
        let draft = "\(folder).tmp-\(getpid())"
        let download = try Command(
            try #require(Machine.find("uv")),
            [
                "tool", "run", "--python", "3.11", "pip", "download", "-q", "--no-deps", "--require-hashes",
                "--only-binary", ":all:", "-r", path, "-d", draft,
            ], environment: cli.environment, folder: cli.folder)
        let outcome = await download.outcome()
        try #require(outcome.status == 0, "\(outcome.all)")
        try FileManager.default.moveItem(atPath: draft, toPath: folder)
        return folder
    }
}

extension Circle {
    /// Deploys an example to the far side, asks it, and ends it.
    fileprivate func lives(_ example: Example) async throws {
        let path = "\(near.folder)/\(example.manifest)"
        let text = try String(contentsOfFile: path, encoding: .utf8)
        try (text + "\nprovider: {name: e2b, template: wheels}\n").write(
            toFile: path, atomically: true, encoding: .utf8)
        network.slow(by: .milliseconds(1))
        // Each example meets another fault at the same call.
        let shift = Example.all.firstIndex { $0.name == example.name } ?? 0
        network.trouble((0..<4).map { BadNetworkTests.moments[($0 + shift) % 4] })
        let deploy = try await near.succeed("deploy", example.manifest)
        let answer = try await near.ask("\(example.name)/predict", example.request)
        #expect(answer.status == 200, "\(answer.text)\n\(deploy.all)")
        #expect(example.isRight(try answer.json()), "\(answer.text)")
        #expect(try await sandboxes().map { $0.labels["berth-deployment"] } == [example.name])
        #expect(network.names.count >= 10, "\(network.names)")
        try await near.succeed("destroy", example.name, "--yes")
        #expect(try await sandboxes().isEmpty)
    }
}
