import ArgumentParser
import ControlAPI
import ControlPlane
import DeploymentCore
import Foundation

/// `berth`: the verbs.
struct BerthCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "berth",
        abstract: "Put a model behind a URL, and keep it there.",
        discussion: """
            Exit codes: 0 done, 1 internal error, 2 usage or invalid manifest, 3 rolled back, 10 model artifact, \
            11 dependencies, 12 sandbox, 13 the app did not start, 14 not healthy in time, 15 smoke test failed, \
            16 no quota, 130 interrupted.

            BERTH_HOME holds all state (default: ~/.local/share/berth). BERTH_API_PORT (4990) and BERTH_GATEWAY_PORT \
            (4999) are where it listens, BERTH_ISOLATION demands a rung of isolation, BERTH_IDS=off lets sandboxes have \
            one user, BERTH_STANDBYS (8) bounds the standbys of all deployments, NO_COLOR is honoured. \
            BERTH_E2B_PORT (4980) and BERTH_E2B_TLS_PORT (4981) are where E2B's SDKs get in, BERTH_MAX_SANDBOXES (100) is \
            how many of their sandboxes may run.
            """,
        version: ControlPlane.version,
        groupedSubcommands: [
            CommandGroup(
                name: "Deploy",
                subcommands: [
                    DeployCommand.self, TestCommand.self, PlanCommand.self, ValidateCommand.self, RenderCommand.self,
                    LockCommand.self, InitCommand.self,
                ]),
            CommandGroup(
                name: "Operate",
                subcommands: [
                    StatusCommand.self, TopCommand.self, LogsCommand.self, EventsCommand.self, PredictCommand.self,
                    HistoryCommand.self, RollbackCommand.self, CancelCommand.self, PauseCommand.self,
                    ResumeCommand.self, ExtendCommand.self, DestroyCommand.self, WebhookCommand.self,
                ]),
            CommandGroup(name: "Inside", subcommands: [ExecCommand.self, ShellCommand.self, CopyCommand.self]),
            CommandGroup(name: "Sandboxes", subcommands: [SandboxCommand.self, ImageCommand.self, VolumeCommand.self]),
            CommandGroup(
                name: "The machine",
                subcommands: [
                    DoctorCommand.self, ServeCommand.self, DownCommand.self, TLSCommand.self, E2BCommand.self,
                    CompletionsCommand.self,
                ]),
        ])
}

/// What every verb takes.
struct OutputOptions: ParsableArguments {
    /// How results are printed.
    enum Format: String, ExpressibleByArgument, CaseIterable {
        case text
        case json
    }

    @Option(help: "How results are printed: text or json.")
    var output: Format = .text

    @Flag(name: [.short, .long], help: "Print results only, no progress.")
    var quiet = false

    var isJSON: Bool { output == .json }

    /// Prints a result: as JSON where that was asked for, else as text, else, when quiet, not at all.
    func print(_ value: some Encodable, _ text: String) throws {
        if isJSON {
            Swift.print(try Output.json(value))
        } else if !quiet {
            Swift.print(text)
        }
    }

    /// Runs `body` and puts its error on standard output too when that is JSON.
    func reporting<Result>(_ body: () async throws -> Result) async throws -> Result {
        do {
            return try await body()
        } catch let error as BerthError {
            throw Failure(Problem(error), isJSON: isJSON)
        } catch let error as Failure {
            throw Failure(error.problem, isJSON: isJSON)
        }
    }

    /// Prints a rollout where JSON was asked for, and ends with its failure when it has one.
    func finish(_ rollout: RolloutResource) throws {
        if isJSON { Swift.print(try Output.json(rollout)) }
        guard let failure = rollout.problem else { return }
        if !isJSON { throw Failure(failure) }
        // The document on standard output has the failure in it; a second one would make both unreadable.
        Failure(failure).print()
        throw ExitCode(failure.code.exitCode)
    }
}

/// The manifest and what is laid over it.
struct ManifestOptions: ParsableArguments {
    @Argument(help: "The manifest.", completion: .file(extensions: ["yaml", "yml"]))
    var manifest = "manifest.yaml"

    @Option(
        name: .customLong("set"), help: ArgumentHelp("Change a key, as in server.port=8000.", valueName: "path=value"))
    var overrides: [String] = []

    @Option(name: .customLong("env"), help: ArgumentHelp("Set a variable of the app.", valueName: "K=V"))
    var variables: [String] = []

    /// The variables by name.
    func environment() throws -> [String: String] { try Variables.parse(variables) }
}

/// Variables as they are written on a command line.
enum Variables {
    /// - Throws: `usage` for one that is not of the form K=V.
    static func parse(_ variables: [String], option: String = "--env") throws -> [String: String] {
        var environment: [String: String] = [:]
        for variable in variables {
            guard let separator = variable.firstIndex(of: "="), separator != variable.startIndex else {
                throw BerthError(.usage, "\(option) \(variable) is not of the form K=V")
            }
            environment[String(variable[..<separator])] = String(variable[variable.index(after: separator)...])
        }
        return environment
    }
}
