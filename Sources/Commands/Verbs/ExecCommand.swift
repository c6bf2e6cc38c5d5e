import ArgumentParser
import ControlAPI
import DeploymentCore
import E2BProtocol
import Foundation
import Sandboxes

/// `berth exec`: a command in the sandbox of a deployment.
struct ExecCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "exec", abstract: "Run a command in the sandbox of a deployment.",
        discussion: """
            berth exec iris -- python -c 'import sklearn; print(sklearn.__version__)'
            berth exec iris -it -- bash
            tar c data | berth exec iris -i -- tar x -C /tmp

            It runs beside the app, with the app's variables, in the app's folder. Ends with the command's exit code, \
            128 + n when signal n ended it, 127 when it could not be started.
            """)

    @Argument(help: "The deployment.")
    var name: String

    @OptionGroup var options: ExecOptions

    @Flag(name: .shortAndLong, help: "Pass standard input on.")
    var interactive = false

    @Flag(name: [.customShort("t"), .customLong("tty")], help: "Run it on a terminal.")
    var terminal = false

    @Argument(parsing: .postTerminator, help: ArgumentHelp("The command, after --.", valueName: "command"))
    var command: [String]

    func run() async throws {
        try await options.run(command, in: name, isInteractive: interactive, hasTerminal: terminal)
    }
}

/// `berth shell`: a shell in the sandbox of a deployment.
struct ShellCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "shell", abstract: "Open a shell in the sandbox of a deployment.",
        discussion: "Short for `berth exec NAME -it -- bash`, or sh where there is no bash.")

    @Argument(help: "The deployment.")
    var name: String

    @OptionGroup var options: ExecOptions

    func run() async throws {
        let isTerminal = isatty(0) == 1
        try await options.run(ExecOptions.shell, in: name, isInteractive: true, hasTerminal: isTerminal)
    }
}

/// How a command is run in a sandbox.
struct ExecOptions: ParsableArguments {
    /// The exit code when the command could not be started, as shells have it.
    static let notStarted: Int32 = 127
    /// The size of a terminal that nobody sees.
    static let standardSize = TerminalSize(columns: 80, rows: 24)
    /// bash, or sh where there is none.
    static let shell = ["/bin/sh", "-c", "if command -v bash >/dev/null; then exec bash; else exec sh; fi"]

    @Option(
        name: [.customShort("e"), .customLong("env")], help: ArgumentHelp("Set a variable for it.", valueName: "K=V"))
    var variables: [String] = []

    @Option(name: [.customShort("w"), .customLong("workdir")], help: "Its folder; the app's when left out.")
    var folder: String?

    @Option(name: [.customShort("u"), .customLong("user")], help: "Its user inside the sandbox.")
    var user: String?

    /// Runs a command in the sandbox of a deployment and ends with its exit code.
    func run(_ command: [String], in name: String, isInteractive: Bool, hasTerminal: Bool) async throws {
        let code = try await Connection.with(starting: false) { client in
            let access = try await client.access(name)
            let place = Place(
                agent: client.agent(of: name, as: user), folder: access.folder, environment: access.environment,
                withoutTerminal: "berth exec \(name) -i -- sh",
                afterBreak: "`berth status` tells whether the deployment was restarted, replaced or stopped")
            return try await run(command, in: place, isInteractive: isInteractive, hasTerminal: hasTerminal)
        }
        if code != 0 { throw ExitCode(code) }
    }

    /// A sandbox, and what commands in it begin with.
    struct Place {
        let agent: EnvdClient
        /// The folder of a command that names none; nil leaves it to the sandbox.
        let folder: String?
        let environment: [String: String]
        /// The command to suggest where there is no terminal.
        let withoutTerminal: String
        /// What to suggest when the connection breaks off.
        let afterBreak: String
    }

    /// Runs a command to its end; returns the exit code to end with.
    func run(
        _ command: [String], in place: Place, isInteractive: Bool, hasTerminal: Bool
    ) async throws -> Int32 {
        var environment = place.environment
        if hasTerminal { environment["TERM"] = ProcessInfo.processInfo.environment["TERM"] ?? "xterm" }
        environment.merge(try Variables.parse(variables)) { $1 }
        let specification = ProcessSpecification(
            tag: "", command: command, environment: environment, workingDirectory: folder ?? place.folder,
            terminal: hasTerminal ? RawTerminal.size ?? Self.standardSize : nil, keepsInputOpen: isInteractive)
        let signals = Signals([SIGINT, SIGTERM, SIGHUP, SIGQUIT] + (hasTerminal ? [SIGWINCH] : []))
        defer { signals.end() }
        // Without a terminal here, the one inside edits and echoes what a pipe brings.
        let raw = hasTerminal && isInteractive && isatty(0) == 1 ? try RawTerminal() : nil
        defer { raw?.restore() }
        let process: EnvdProcess
        do {
            process = try await place.agent.start(specification)
        } catch let error as BerthError where error.code != .unreachable {
            raw?.restore()
            let hasNoTerminal = (error.cause as? ConnectError)?.code == .resourceExhausted && hasTerminal
            let failure = BerthError(
                error.code, "\(command[0]) cannot be started in the sandbox",
                suggestion: hasNoTerminal ? "do without a terminal: \(place.withoutTerminal)" : nil,
                cause: error.cause)
            Failure(Problem(failure)).print()
            return Self.notStarted
        }
        return try await ProcessSession(
            process: process, signals: signals, isInteractive: isInteractive, hasTerminal: hasTerminal,
            afterBreak: place.afterBreak
        ).run()
    }
}
