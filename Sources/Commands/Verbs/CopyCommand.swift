import ArgumentParser
import ControlAPI
import DeploymentCore
import Foundation
import Sandboxes

/// `berth cp`: files into and out of the sandbox of a deployment.
struct CopyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cp", abstract: "Copy files and folders into or out of the sandbox of a deployment.",
        discussion: """
            berth cp iris:/tmp/profile.json .
            berth cp data iris:/tmp
            berth cp iris:app/app.py -

            One side is NAME:PATH; a path that does not begin with / begins in the sandbox's home folder. A folder that \
            exists gets what is copied in it, under its name; with /. behind the source only what is in it. - is \
            standard input or output. Links within the folder stay links.
            """)

    @OptionGroup var sides: CopySides

    @OptionGroup var output: OutputOptions

    func run() async throws {
        try await sides.copy(output) { copy in
            try await Connection.with(starting: false) { client in
                try await copy { name in
                    // Says what is wrong with the name or the deployment before anything is asked of the agent.
                    _ = try await client.access(name)
                    return client.agent(of: name)
                }
            }
        }
    }
}

/// What is copied where.
struct CopySides: ParsableArguments {
    /// Gives the agent of the sandbox with a name.
    typealias AgentOfName = @Sendable (String) async throws -> EnvdClient

    @Argument(help: ArgumentHelp("What to copy.", valueName: "source"), completion: .file())
    var source: String

    @Argument(help: ArgumentHelp("Where to.", valueName: "destination"), completion: .file())
    var destination: String

    /// Lets `connected` copy as soon as it can tell agents by their names, and reports.
    func copy(
        _ output: OutputOptions,
        connected: (_ copy: @Sendable (@escaping AgentOfName) async throws -> Void) async throws -> Void
    ) async throws {
        try await output.reporting {
            let (from, to) = (try CopyPlace(source), try CopyPlace(destination))
            let report = CopyReport(Progress(isQuiet: output.quiet))
            try await connected { try await Self.copy(from, to, report, $0) }
            // Standard output is the copy itself then.
            guard to != .stream else { return }
            try output.print(report.totals, report.totals.text)
        }
    }

    /// Copies between here and a sandbox; Ctrl-C ends it.
    private static func copy(
        _ from: CopyPlace, _ to: CopyPlace, _ report: CopyReport, _ agent: @escaping AgentOfName
    ) async throws {
        try await Signals.cancelling {
            defer { report.end() }
            switch (from, to) {
            case (.stream, .remote(let name, let path)):
                try await CopyUpload(agent: try await agent(name), report: report).stream(to: path)
            case (.local(let source), .remote(let name, let path)):
                try await CopyUpload(agent: try await agent(name), report: report).run(source, to: path)
            case (.remote(let name, let path), .stream):
                try await CopyDownload(agent: try await agent(name), report: report).stream(path)
            case (.remote(let name, let path), .local(let target)):
                try await CopyDownload(agent: try await agent(name), report: report).run(path, to: target)
            case (.remote, .remote):
                throw BerthError(
                    .usage, "both sides are in a sandbox", suggestion: "copy to a folder here in between")
            default:
                throw BerthError(
                    .usage, "neither side is in a sandbox", suggestion: "write NAME:PATH for the side that is")
            }
        }
    }
}
