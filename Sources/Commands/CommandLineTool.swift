import ArgumentParser
import ControlAPI
import DeploymentCore
import Foundation

/// The command line: parses, runs one verb, and ends with its documented exit code.
public enum CommandLineTool {
    /// Runs the verb in `arguments` and ends the process.
    public static func main(_ arguments: [String]) async -> Never {
        signal(SIGPIPE, SIG_IGN)
        do {
            var command = try BerthCommand.parseAsRoot(arguments)
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
            exit(0)
        } catch let error as Failure {
            error.print()
            exit(error.exitCode)
        } catch let error as BerthError {
            Failure(Problem(error)).print()
            exit(error.code.exitCode)
        } catch is CancellationError {
            exit(BerthError.Code.interrupted.exitCode)
        } catch {
            end(with: error)
        }
    }

    /// Help and version end well; everything else that the parser refuses is a usage error.
    private static func end(with error: any Error) -> Never {
        if let code = error as? ExitCode { exit(code.rawValue) }
        guard BerthCommand.exitCode(for: error) != .success else {
            print(BerthCommand.fullMessage(for: error))
            exit(0)
        }
        let isUsage = BerthCommand.exitCode(for: error) == .validationFailure
        FileHandle.standardError.write(Data((BerthCommand.fullMessage(for: error) + "\n").utf8))
        exit(isUsage ? BerthError.Code.usage.exitCode : BerthError.Code.internalError.exitCode)
    }
}

/// A problem that ends the command; printed for people, or as JSON where that was asked for.
struct Failure: Error {
    let problem: Problem
    /// Whether standard output gets the problem as JSON: where that was asked for and nothing else stands there.
    let isJSON: Bool

    init(_ problem: Problem, isJSON: Bool = false) {
        self.problem = problem
        self.isJSON = isJSON
    }

    var exitCode: Int32 { problem.code.exitCode }

    func print() {
        let style = Style.standardError
        var text = "\(style.red("error:")) \(problem.title)\n"
        if let detail = problem.detail {
            let lines = detail.split(separator: "\n", omittingEmptySubsequences: false)
            text += lines.map { "  \(style.dim("│")) \($0)\n" }.joined()
        }
        if let suggestion = problem.suggestion { text += "\(style.bold("try:")) \(suggestion)\n" }
        FileHandle.standardError.write(Data(text.utf8))
        if isJSON, let json = try? Output.json(["error": problem]) { Swift.print(json) }
    }
}
