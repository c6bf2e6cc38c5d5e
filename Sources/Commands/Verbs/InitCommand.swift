import ArgumentParser
import DeploymentCore
import Foundation

/// `berth init`: a manifest to begin with.
struct InitCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "init", abstract: "Write a manifest to begin with, for a model file, an app, or a Python function."
    )

    @Argument(help: "A model file (.joblib, .pkl, .onnx, .pt), an app (app.py, api.main:app) or a predict.py.")
    var model: String?

    @Option(help: "The deployment's name; the folder's name when left out.")
    var name: String?

    @Flag(help: "The argument is an app of your own, not a model.")
    var app = false

    @Flag(help: "Overwrite what is there.")
    var force = false

    @OptionGroup var output: OutputOptions

    func run() async throws { try await output.reporting { try write() } }

    private func write() throws {
        let folder = FileManager.default.currentDirectoryPath
        let name = try name ?? Self.label(URL(fileURLWithPath: folder).lastPathComponent)
        var files: [(path: String, text: String)] = []
        if model == nil { files.append(("predict.py", Self.function)) }
        files.append(("manifest.yaml", manifest(name)))
        for file in files where FileManager.default.fileExists(atPath: file.path) && !force {
            throw BerthError(.usage, "\(file.path) is there already", suggestion: "add --force to overwrite it")
        }
        for file in files {
            try file.text.write(toFile: file.path, atomically: true, encoding: .utf8)
        }
        let paths = files.map(\.path)
        try output.print(["files": paths], paths.joined(separator: "\n"))
    }

    /// A DNS label from any text.
    private static func label(_ text: String) throws -> String {
        let characters = text.lowercased().map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "-" }
        let label = String(characters).split(separator: "-").joined(separator: "-").prefix(63)
        guard !label.isEmpty else {
            throw BerthError(.usage, "the folder's name makes no name", suggestion: "add --name")
        }
        return String(label)
    }

    private func manifest(_ name: String) -> String {
        let isApp =
            app || (model.map { $0.contains(":") || $0.hasSuffix("app.py") || $0.hasSuffix("main.py") } ?? false)
        let what = isApp ? "server:\n  app: \(model ?? "app.py")" : "model: \(model ?? "predict.py")"
        let health =
            isApp
            ? """

            health:
              path: /health        # or none: then the open port and the smoke predictions are the evidence
            """ : ""
        return """
            # yaml-language-server: $schema=berth.schema.json   # berth validate --schema > berth.schema.json
            name: \(name)                # the route is /\(name)
            \(what)
            # requirements: requirements.txt   # or a list; `berth lock` pins them with hashes
            \(health)
            # Predictions that must hold before traffic moves:
            # smoke:
            #   - name: first
            #     request: {input: [1, 2, 3]}
            #     expect: {prediction: [6]}

            """
    }

    private static let function = """
        \"\"\"A model as a function: `load` runs once, `predict` for each request.\"\"\"


        def load() -> dict[str, float]:
            return {"scale": 1.0}


        def predict(model: dict[str, float], input: list[float]) -> float:
            return model["scale"] * sum(input)

        """
}
