import ArgumentParser
import ControlAPI
import DeploymentCore
import Foundation

/// `berth status`: what serves.
struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "status", abstract: "Show what serves.")

    @Argument(help: "One deployment; all of them when left out.")
    var name: String?

    @OptionGroup var output: OutputOptions

    @Flag(help: "Wait for the rollout that runs, and end with its exit code.")
    var wait = false

    @Flag(
        name: .shortAndLong, help: "Draw it anew, with what each uses, until Ctrl-C; once where there is no terminal.")
    var watch = false

    func run() async throws {
        try await output.asking { client in
            if let name, wait { try await follow(name, client) }
            if watch, !output.isJSON, Style.standardOutput.isTerminal {
                return try await LiveView.run { [name] in try await Self.watched(name, client) }
            }
            let deployments = try await Self.deployments(name, client)
            if output.isJSON {
                print(name == nil ? try Output.json(deployments) : try Output.json(deployments[0]))
            } else {
                print(watch ? try await Self.watched(name, client) : Self.text(deployments))
            }
        }
    }

    private static func deployments(_ name: String?, _ client: ControlPlaneClient) async throws -> [DeploymentResource]
    {
        if let name { [try await client.deployment(name)] } else { try await client.deployments() }
    }

    private static func watched(_ name: String?, _ client: ControlPlaneClient) async throws -> String {
        let deployments = try await deployments(name, client)
        guard !deployments.isEmpty else { return text(deployments) }
        return text(deployments) + "\n\n" + TopCommand.text(try await client.statistics(name, samples: 0))
    }

    private func follow(_ name: String, _ client: ControlPlaneClient) async throws {
        guard let id = try await client.deployment(name).rollout else { return }
        let progress = Progress(isQuiet: output.quiet)
        let rollout = try await client.follow(id) { progress.show($0) }
        if let failure = rollout.problem { throw Failure(failure) }
    }

    static func text(_ deployments: [DeploymentResource]) -> String {
        guard !deployments.isEmpty else { return "nothing is deployed; `berth deploy manifest.yaml` changes that" }
        let now = Int64(Date().timeIntervalSince1970 * 1_000)
        let hasEnd = deployments.contains { $0.expiresAt != nil }
        let columns = ["NAME", "STATE", "REVISION", "ISOLATION", "NETWORK", "REQUESTS", "RESTARTS", "SINCE"]
        var rows = [columns + (hasEnd ? ["EXPIRES"] : []) + ["URL"]]
        for deployment in deployments {
            let rollout = deployment.stage.map { " (\($0.rawValue))" } ?? ""
            let cells = [
                deployment.name, deployment.state + rollout, deployment.revision.map { "\($0)" } ?? "-",
                deployment.isolation?.rawValue ?? "-", deployment.network ?? "-", "\(deployment.requests)",
                "\(deployment.restarts)", Output.time(deployment.createdAt),
            ]
            let end = deployment.expiresAt.map { "in " + Output.until($0, now: now) } ?? "never"
            rows.append(cells + (hasEnd ? [end] : []) + [deployment.url])
        }
        let reasons = deployments.compactMap { deployment in
            deployment.reason.map { "\(deployment.name): \(VisibleText.of($0))" }
        }
        return ([Output.table(rows)] + reasons).joined(separator: "\n")
    }
}

/// `berth logs`: what the app prints.
struct LogsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "logs", abstract: "Show what an app prints.")

    @Argument(help: "The deployment.")
    var name: String

    @Flag(name: .shortAndLong, help: "Go on with every new line.")
    var follow = false

    @Option(
        name: [.customShort("n"), .long],
        help: "How many of the last lines to begin with; 100, or with --since all of them, when left out.")
    var tail: Int?

    @Option(help: ArgumentHelp("Only lines since then: 30s, 10m, 1h30m or 2d ago, or a date.", valueName: "time"))
    var since: String?

    @Option(help: "A revision other than the one that serves.")
    var revision: Int?

    @OptionGroup var output: OutputOptions

    func run() async throws {
        try await output.asking { client in
            let now = Int64(Date().timeIntervalSince1970 * 1_000)
            var query = ["follow=\(follow)"]
            if let tail { query.append("tail=\(max(0, tail))") }
            if let since { query.append("since=\(try TimeText.parse(since, now: now))") }
            if let revision { query.append("revision=\(revision)") }
            var lines = LogLines()
            try await client.logs(name, query: query.joined(separator: "&")) { bytes in
                let shown = output.isJSON ? try lines.json(bytes) : bytes
                try FileHandle.standardOutput.write(contentsOf: Data(shown))
            }
        }
    }
}

/// Log lines as JSON, one object a line: `{"stream": "out", "text": "…", "time": "…"}`.
struct LogLines {
    private var pending: [UInt8] = []

    mutating func json(_ bytes: [UInt8]) throws -> [UInt8] {
        pending += bytes
        guard let end = pending.lastIndex(of: UInt8(ascii: "\n")) else { return [] }
        let lines = String(decoding: pending[..<end], as: UTF8.self).split(separator: "\n")
        pending.removeSubrange(...end)
        return lines.flatMap { line -> [UInt8] in
            let parts = line.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false).map(String.init)
            guard parts.count == 3 else { return [] }
            let value: JSONValue = ["time": .string(parts[0]), "stream": .string(parts[1]), "text": .string(parts[2])]
            return value.encoded() + [UInt8(ascii: "\n")]
        }
    }
}

/// `berth history`: the revisions.
struct HistoryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "history", abstract: "Show the revisions of a deployment, newest first.")

    @Argument(help: "The deployment.")
    var name: String

    @OptionGroup var output: OutputOptions

    func run() async throws {
        try await output.asking { client in
            let revisions = try await client.revisions(name)
            if output.isJSON {
                print(try Output.json(revisions))
                return
            }
            var rows = [["REVISION", "STATUS", "MADE", "BUNDLE", "ENVIRONMENT", ""]]
            for revision in revisions {
                rows.append([
                    "\(revision.number)", revision.status, Output.time(revision.createdAt),
                    String(revision.bundle.prefix(8)), String(revision.environment.prefix(8)),
                    revision.failure ?? "",
                ])
            }
            print(Output.table(rows))
        }
    }
}

/// `berth rollback`: traffic back to an earlier revision, by the same stages as a deploy.
struct RollbackCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rollback", abstract: "Move the traffic back to an earlier revision.")

    @Argument(help: "The deployment.")
    var name: String

    @Option(help: "The revision; the newest earlier one that had the traffic when left out.")
    var to: Int?

    @OptionGroup var output: OutputOptions

    func run() async throws {
        try await output.reporting {
            let progress = Progress(isQuiet: output.quiet)
            try await Connection.with(starting: false) { client in
                let begun = try await client.rollBack(name, to: to)
                progress.say("\(name): back to revision \(begun.revision)")
                let rollout = try await RolloutSession(progress: progress, client: client).follow(begun.id)
                try output.finish(rollout)
                if !output.isJSON, !output.quiet { print("revision \(rollout.revision) of \(name) serves") }
            }
        }
    }
}

/// `berth cancel`: ends the rollout that runs.
struct CancelCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cancel", abstract: "Cancel the rollout of a deployment; what serves goes on serving.")

    @Argument(help: "The deployment.")
    var name: String

    @OptionGroup var output: OutputOptions

    func run() async throws {
        try await output.asking { client in
            guard let id = try await client.deployment(name).rollout else {
                throw BerthError(.notFound, "nothing of \(name) is being rolled out")
            }
            let rollout = try await client.cancel(id)
            try output.print(rollout, "\(id): \(rollout.status)")
        }
    }
}

/// `berth destroy`: ends a deployment and removes everything of it.
struct DestroyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "destroy", abstract: "End a deployment and remove its sandbox, revisions and logs.")

    @Argument(help: "The deployment.")
    var name: String

    @Flag(name: .shortAndLong, help: "Do not ask.")
    var yes = false

    @OptionGroup var output: OutputOptions

    func run() async throws {
        try await output.asking { client in
            _ = try await client.deployment(name)
            guard try yes || Confirmation.ask("destroy \(name) and all its revisions?") else {
                throw BerthError(.interrupted, "\(name) was not destroyed")
            }
            try await client.destroy(name)
            try output.print(["deployment": name, "state": "destroyed"], "\(name): destroyed")
        }
    }
}

/// A question on the terminal.
enum Confirmation {
    static func ask(_ question: String) throws -> Bool {
        guard isatty(0) == 1 else {
            throw BerthError(.usage, "this asks before it acts, and there is no terminal", suggestion: "add --yes")
        }
        FileHandle.standardError.write(Data("\(question) [y/N] ".utf8))
        return ["y", "yes"].contains((readLine() ?? "").lowercased())
    }
}
