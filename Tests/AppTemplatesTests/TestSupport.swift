import AppTemplates
import DeploymentCore
import Foundation
import Testing

/// The repository's folder.
let repository = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

/// The templates that are shipped.
func shippedTemplates() throws -> TemplateCatalog {
    try TemplateCatalog(folder: repository.appending(path: "templates").path(percentEncoded: false))
}

/// A file beside the tests.
func beside(_ path: String) -> String {
    repository.appending(path: "Tests/AppTemplatesTests").appending(path: path).path(percentEncoded: false)
}

/// The full path of a program, or nil.
func program(_ name: String) -> String? {
    (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map { "\($0)/\(name)" }
        .first { FileManager.default.isExecutableFile(atPath: $0) }
}

/// Why a program cannot be tested with.
func missing(_ name: String) -> Comment { "\(name) is not on PATH" }

/// Runs a program to its end; gives its exit code and everything it printed.
func run(
    _ name: String, _ arguments: [String], in folder: String, environment: [String: String] = [:]
) async throws -> (code: Int32, output: String) {
    let path = try #require(name.hasPrefix("/") ? name : program(name), missing(name))
    let log = "\(folder)/.output-\(UUID().uuidString)"
    try #require(FileManager.default.createFile(atPath: log, contents: nil))
    defer { try? FileManager.default.removeItem(atPath: log) }
    let output = try #require(FileHandle(forWritingAtPath: log))
    let process = Process()
    process.executableURL = URL(filePath: path)
    process.arguments = arguments
    process.currentDirectoryURL = URL(filePath: folder, directoryHint: .isDirectory)
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    process.standardOutput = output
    process.standardError = output
    process.standardInput = FileHandle.nullDevice
    let code = try await withCheckedThrowingContinuation { (ended: CheckedContinuation<Int32, any Error>) in
        process.terminationHandler = { ended.resume(returning: $0.terminationStatus) }
        do { try process.run() } catch { ended.resume(throwing: error) }
    }
    try output.close()
    return (code, String(decoding: try Data(contentsOf: URL(filePath: log)), as: UTF8.self))
}

/// Writes files into a folder that is made.
func write(_ files: [RenderedFile], to folder: String) throws {
    for file in files {
        let target = URL(filePath: folder).appending(path: file.path)
        try FileManager.default.createDirectory(
            at: target.deletingLastPathComponent(), withIntermediateDirectories: true)
        try file.contents.write(to: target, atomically: true, encoding: .utf8)
    }
}

/// The four kinds of models, each with a file that its template loads.
let modelFiles = ["sklearn": "model/iris.joblib", "onnx": "iris.onnx", "torch": "net.pt", "python": "predict.py"]

/// A manifest for a template.
func manifest(
    _ framework: Manifest.Server.Framework, _ template: String, name: String = "iris", type: String? = nil,
    file: String? = nil, body: JSONValue = ["input": [5.1, 3.5, 1.4, 0.2]]
) -> Manifest {
    let target = file ?? modelFiles[template] ?? "model"
    return Manifest(
        name: name, model: .init(type: type, files: [.init(source: target, target: target)]),
        server: .init(framework: framework, app: .template(template)),
        smoke: [SmokeTest(name: "golden", request: .init(body: .json(body)))])
}
