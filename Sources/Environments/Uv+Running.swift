import DeploymentCore
import Subprocess
import SystemPackage

/// What a finished program left.
struct ProgramResult: Sendable {
    var status: TerminationStatus
    var output: String
    var errors: String

    var isSuccess: Bool { status.isSuccess }
    /// Everything said, for error messages.
    var text: String { errors.isEmpty ? output : errors }
}

/// A program to run to its end; cancelling the task ends it with its whole process group.
struct Program: Sendable {
    /// The most a program may print before it is ended, in bytes.
    static let outputLimit = 32 << 20
    /// The most of the error text that is kept, in bytes.
    static let errorLimit = 1 << 20

    var executable: String
    var arguments: [String]
    var environment: [String: String]
    var folder: String
    var input = ""
    var timeout: Duration
    /// The words before the command that put walls around it.
    var walls: [String] = []

    /// Runs it; `onLine` sees every line of standard error as it comes.
    ///
    /// - Throws: `timeout` when the budget is used up, `dependencies` when it cannot be started.
    func run(onLine: @escaping @Sendable (String) -> Void = { _ in }) async throws -> ProgramResult {
        try await withThrowingTaskGroup(of: ProgramResult?.self) { group in
            group.addTask { try await runUnlimited(onLine: onLine) }
            group.addTask { [timeout] in
                try await Task.sleep(for: timeout)
                return nil
            }
            defer { group.cancelAll() }
            guard let first = try await group.next() else { throw CancellationError() }
            guard let result = first else {
                try Task.checkCancellation()
                throw BerthError(
                    .timeout, "\(name) \(arguments.first ?? "") did not finish within \(timeout.components.seconds) s")
            }
            return result
        }
    }

    private var name: String { FilePath(executable).lastComponent?.string ?? executable }

    private func runUnlimited(onLine: @escaping @Sendable (String) -> Void) async throws -> ProgramResult {
        var options = PlatformOptions()
        options.createSession = true
        options.teardownSequence = [
            .gracefulShutDown(toProcessGroup: true, allowedDurationToNextStep: .seconds(2)),
            .send(signal: .kill, toProcessGroup: true, allowedDurationToNextStep: .milliseconds(100)),
        ]
        var variables: [Subprocess.Environment.Key: String] = [:]
        for (name, value) in environment { variables[.init(stringLiteral: name)] = value }
        let command = walls + [executable] + arguments
        do {
            let result = try await Subprocess.run(
                .path(FilePath(command[0])), arguments: Arguments(Array(command[1...])),
                environment: .custom(variables),
                workingDirectory: FilePath(folder), platformOptions: options, input: .string(input),
                output: .bytes(limit: Self.outputLimit), error: .sequence
            ) { execution in
                var text = ""
                for try await line in execution.standardError.strings() {
                    onLine(line)
                    if text.utf8.count < Self.errorLimit { text += line + "\n" }
                }
                return text
            }
            try Task.checkCancellation()
            return ProgramResult(
                status: result.terminationStatus, output: String(decoding: result.standardOutput, as: UTF8.self),
                errors: result.closureResult)
        } catch let error as SubprocessError {
            try Task.checkCancellation()
            throw BerthError(.dependencies, "\(executable) cannot be run", cause: error)
        }
    }
}

extension Uv {
    /// Runs uv in `folder`.
    func run(
        _ arguments: [String], in folder: String, input: String = "", timeout: Duration, walls: [String] = [],
        onLine: @escaping @Sendable (String) -> Void = { _ in }
    ) async throws -> ProgramResult {
        var variables = environment
        variables["UV_CACHE_DIR"] = downloads
        variables["UV_NO_PROGRESS"] = "1"
        variables["UV_PYTHON_DOWNLOADS"] = "never"
        variables["NO_COLOR"] = "1"
        if !walls.isEmpty { variables["TMPDIR"] = nil }  // they have a /tmp of their own
        return try await Program(
            executable: executable, arguments: arguments, environment: variables, folder: folder, input: input,
            timeout: timeout, walls: walls
        ).run(onLine: onLine)
    }

    /// uv's version, as `0.13.8`.
    public func version() async throws -> String {
        let result = try await run(["--version"], in: "/", timeout: Self.queryTimeout)
        let words = result.output.split(separator: " ")
        guard result.isSuccess, words.count > 1 else {
            throw BerthError(.dependencies, "\(executable) does not tell its version", cause: UvFailure(result.text))
        }
        return String(words[1].filter { !$0.isWhitespace })
    }
}

/// What uv said when it failed, without credentials; the cause behind a readable error.
public struct UvFailure: Error, Sendable, Equatable, CustomStringConvertible {
    /// The text as uv printed it.
    public let description: String

    init(_ text: String) {
        let secret = /(:\/\/)[^\/\s@`']+@/
        description = String(text.trimmingPrefix(while: \.isWhitespace)).replacing(secret) { "\($0.output.1)****@" }
    }
}
