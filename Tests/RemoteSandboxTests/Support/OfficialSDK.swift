import DeploymentCore
import Foundation
import Testing

/// The official Python SDK in an environment of its own, made once by the first test that needs it.
enum OfficialSDK {
    /// Made anew for each run, so that the newest release is meant.
    private static let folder = FileManager.default.temporaryDirectory.appending(
        path: "berth-test-e2b-sdk-\(getpid())"
    ).path(percentEncoded: false)

    /// Where the SDK is, or why it cannot be had here.
    private static let environment: Result<String, Obstacle> = {
        guard let uv = find("uv") else { return .failure(Obstacle("uv is not on the PATH")) }
        atexit { try? FileManager.default.removeItem(atPath: OfficialSDK.folder) }
        for arguments in [
            ["venv", "--quiet", "--no-project", folder],
            ["pip", "install", "--quiet", "--python", "\(folder)/bin/python", "e2b"],
        ] {
            guard run(uv, arguments, [:]).status == 0 else {
                return .failure(Obstacle("the package e2b cannot be installed"))
            }
        }
        return .success("\(folder)/bin/python")
    }()

    struct Obstacle: Error {
        let text: String
        init(_ text: String) { self.text = text }
    }

    /// Why the SDK cannot be had; nil when it can.
    static var obstacle: String? {
        if case .failure(let obstacle) = environment { obstacle.text } else { nil }
    }

    /// Runs a script with nothing of ours in its environment but what is given.
    static func run(_ script: String, _ variables: [String: String]) throws -> (status: Int32, output: String) {
        run(try environment.get(), ["-c", script], variables)
    }

    private static func find(_ name: String) -> String? {
        (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map { "\($0)/\(name)" }
            .first { FileManager.default.isExecutableFile(atPath: $0) }
    }

    private static func run(
        _ program: String, _ arguments: [String], _ variables: [String: String]
    ) -> (status: Int32, output: String) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        let own = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("E2B_") }
        process.environment = own.merging(variables) { $1 }
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        process.standardInput = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return (-1, "\(program) does not start") }
        let output = (try? pipe.fileHandleForReading.readToEnd()).flatMap { $0 } ?? Data()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: output, as: UTF8.self))
    }
}

extension Trait where Self == ConditionTrait {
    /// Skips, with the reason, where the SDK cannot be installed.
    static var officialSDK: Self {
        .enabled("needs the official SDK: \(OfficialSDK.obstacle ?? "")") { OfficialSDK.obstacle == nil }
    }
}
