import DeploymentCore
import Environments
import Foundation
import Glibc
import HostedSandboxes
import Testing

@testable import LocalSandbox

/// What the tests need of this machine.
enum Machine {
    static let variables = ProcessInfo.processInfo.environment
    /// The repository's folder.
    static let repository = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path(percentEncoded: false)
    /// Packages, kept for the next run as the downloads of other tests are.
    static let workshop = FileManager.default.temporaryDirectory.appending(path: "berth-test-interpreter")
        .path(percentEncoded: false)
    /// The agent beside the test executable, or where `BERTH_TEST_AGENT` says.
    static let agent: String? = {
        let own = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let beside = own.map { ($0 as NSString).deletingLastPathComponent + "/berth-agent" }
        return [variables["BERTH_TEST_AGENT"], beside].compactMap { $0 }.first { access($0, X_OK) == 0 }
    }()
    static let trial = NamespaceTrial.cached(BubblewrapCommand.find())

    static let uv: Uv? = {
        guard let found = try? Uv.locate(home: "/nonexistent", environment: variables) else { return nil }
        return Uv(
            executable: found.executable, cache: "\(workshop)/cache", environment: variables,
            allowsPythonDownloads: false)
    }()

    /// Why nothing can be installed here; nil when it can.
    static let obstacle: String? = {
        guard let uv else { return "uv is not on the PATH" }
        let probe = Process()
        probe.executableURL = URL(filePath: uv.executable)
        probe.arguments = ["pip", "compile", "--quiet", "--no-config", "--cache-dir", uv.cache, "-"]
        let input = Pipe()
        probe.standardInput = input
        probe.standardOutput = FileHandle.nullDevice
        probe.standardError = FileHandle.nullDevice
        guard (try? probe.run()) != nil else { return "uv does not start" }
        input.fileHandleForWriting.write(Data("six\n".utf8))
        try? input.fileHandleForWriting.close()
        probe.waitUntilExit()
        return probe.terminationStatus == 0 ? nil : "the package index cannot be reached"
    }()

    /// The full path of a program, or nil.
    static func program(_ name: String) -> String? {
        (variables["PATH"] ?? "").split(separator: ":").map { "\($0)/\(name)" }
            .first { FileManager.default.isExecutableFile(atPath: $0) }
    }
}

extension Trait where Self == ConditionTrait {
    /// Skips, with the reason, where packages cannot be installed.
    static var realPackages: Self {
        .enabled("needs uv and a package index: \(Machine.obstacle ?? "")") { Machine.obstacle == nil }
    }
    /// Skips, with the reason that the trial found, where there are no namespaces.
    static var namespaces: Self {
        .enabled(
            if: Machine.trial.works && Machine.agent != nil,
            "needs berth-agent and namespaces: \(Machine.trial.detail)")
    }
    /// Skips where a program is missing.
    static func program(_ name: String) -> Self {
        .enabled(if: Machine.program(name) != nil, "\(name) is not on PATH")
    }
}

/// Gives the image, and closes what built it.
func withImage(_ body: (SandboxImage) async throws -> Void) async throws {
    let uv = try #require(Machine.uv)
    let store = EnvironmentStore(folder: "\(Machine.workshop)/environments", uv: uv)
    do {
        let image = InterpreterImage(templates: Machine.repository + "/templates", environments: store) { _ in }
        try await body(try await image.make())
    } catch {
        await store.close()
        throw error
    }
    await store.close()
}

/// The interpreter of a virtual environment with one version of the official SDK, and with a version of `e2b` that it goes
/// together with.
func sdk(_ version: String, with base: String) async throws -> String {
    let uv = try #require(Machine.uv)
    let folder = "\(Machine.workshop)/sdk-\(version)-\(base)"
    let python = "\(folder)/bin/python"
    if access("\(folder)/complete", F_OK) == 0 { return python }
    for arguments in [
        ["venv", "--quiet", "--no-config", "--clear", folder],
        [
            "pip", "install", "--quiet", "--no-config", "--python", python, "e2b-code-interpreter==\(version)",
            "e2b==\(base)",
        ],
    ] {
        let (code, output) = try await run(uv.executable, arguments + ["--cache-dir", uv.cache])
        try #require(code == 0, "\(output)")
    }
    try #require(FileManager.default.createFile(atPath: "\(folder)/complete", contents: nil))
    return python
}

/// Runs a program to its end; gives its exit code and everything it printed.
func run(
    _ program: String, _ arguments: [String], in folder: String = "/", environment: [String: String] = [:]
) async throws -> (code: Int32, output: String) {
    let log = FileManager.default.temporaryDirectory.appending(path: "berth-test-output-\(UUID().uuidString)")
    try #require(FileManager.default.createFile(atPath: log.path(percentEncoded: false), contents: nil))
    defer { try? FileManager.default.removeItem(at: log) }
    let output = try FileHandle(forWritingTo: log)
    let process = Process()
    process.executableURL = URL(filePath: program)
    process.arguments = arguments
    process.currentDirectoryURL = URL(filePath: folder, directoryHint: .isDirectory)
    process.environment = Machine.variables.merging(environment) { $1 }
    process.standardOutput = output
    process.standardError = output
    process.standardInput = FileHandle.nullDevice
    let code = try await withCheckedThrowingContinuation { (ended: CheckedContinuation<Int32, any Error>) in
        process.terminationHandler = { ended.resume(returning: $0.terminationStatus) }
        do { try process.run() } catch { ended.resume(throwing: error) }
    }
    try output.close()
    return (code, String(decoding: try Data(contentsOf: log), as: UTF8.self))
}

/// Runs the checks of one SDK against a server on a port of the loopback; only those named, if any are.
func check(
    port: Int, sdk version: (interpreter: String, base: String), environment: [String: String] = [:], _ names: String...
) async throws {
    let python = try await sdk(version.interpreter, with: version.base)
    let variables = [
        "E2B_DEBUG": "true", "E2B_API_KEY": "e2b_" + String(repeating: "0", count: 40),
        "E2B_SANDBOX_URL": "http://127.0.0.1:\(port)",
    ]
    let (code, output) = try await run(
        python, ["\(Machine.repository)/Tests/InterpreterTests/python/check_interpreter.py"] + names,
        environment: variables.merging(environment) { $1 })
    #expect(code == 0, "\(output.suffix(6_000))")
    #expect(output.contains("Ran "))
}
