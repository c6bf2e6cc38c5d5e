import ArgumentParser
import DeploymentCore
import E2BProtocol
import Foundation
import RemoteSandbox
import Sandboxes

/// `berth sandbox`: sandboxes without a deployment, here or at an E2B service.
struct SandboxCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sandbox", abstract: "Make and use sandboxes, here or at an E2B service.",
        discussion: """
            berth sandbox create --timeout 600
            berth sandbox exec ID -- python3 -c 'print(6 * 7)'
            berth sandbox cp model.joblib ID:/home/user
            berth sandbox kill ID

            --provider local is the control plane of this machine; --provider e2b the service that E2B_API_KEY, \
            E2B_DOMAIN and E2B_API_URL name.
            """,
        subcommands: [
            SandboxCreateCommand.self, SandboxListCommand.self, SandboxExecCommand.self, SandboxShellCommand.self,
            SandboxCopyCommand.self, SandboxPauseCommand.self, SandboxResumeCommand.self, SandboxKillCommand.self,
        ])
}

/// Whose sandboxes are meant.
struct ProviderOptions: ParsableArguments {
    @Option(help: "Whose sandboxes: local, this machine's, or e2b, of the service that the E2B_ variables name.")
    var provider = RemoteAccount.Provider.local

    func with<Result>(_ body: (E2BClient) async throws -> Result) async throws -> Result {
        try await RemoteAccount.with(provider, body)
    }
}

/// `berth sandbox create`.
struct SandboxCreateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Make a sandbox and print its id.")

    @OptionGroup var provider: ProviderOptions

    @Option(help: "The template; E2B_DEFAULT_TEMPLATE, or else base, when left out.")
    var template: String?

    @Option(help: "The seconds it lives.")
    var timeout: Int64?

    @Option(
        name: [.customShort("e"), .customLong("env")],
        help: ArgumentHelp("Set a variable of every process.", valueName: "K=V"))
    var variables: [String] = []

    @Option(name: .customLong("label"), help: ArgumentHelp("Note something on it.", valueName: "K=V"))
    var labels: [String] = []

    @Flag(name: .customLong("no-internet"), help: "Keep the internet out of its reach.")
    var isOffline = false

    @OptionGroup var output: OutputOptions

    func run() async throws {
        try await output.reporting {
            let named = ProcessInfo.processInfo.environment["E2B_DEFAULT_TEMPLATE"].flatMap { $0.isEmpty ? nil : $0 }
            let creation = SandboxCreation(
                template: template ?? named ?? E2BProvider.Settings.defaultTemplate, timeout: timeout,
                allowsInternet: isOffline ? false : nil, metadata: try Variables.parse(labels, option: "--label"),
                environment: try Variables.parse(variables))
            let handle = try await provider.with { try await $0.create(creation) }
            try output.print(
                ["sandbox": handle.sandbox, "template": handle.template, "agent": handle.agentVersion], handle.sandbox)
        }
    }
}

/// `berth sandbox list`.
struct SandboxListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List sandboxes, newest first.")

    @OptionGroup var provider: ProviderOptions

    @Option(name: .customLong("label"), help: ArgumentHelp("Only those that carry it.", valueName: "K=V"))
    var labels: [String] = []

    @OptionGroup var output: OutputOptions

    /// A row.
    private struct Row: Encodable {
        var sandbox: String
        var template: String
        var state: String
        var startedAt: String
        var endAt: String
        var labels: [String: String]
    }

    func run() async throws {
        try await output.reporting {
            let filter = E2BFilter(metadata: try Variables.parse(labels, option: "--label"))
            let rows = try await provider.with { try await $0.sandboxes(filter) }.map { found in
                Row(
                    sandbox: found.handle.sandbox, template: found.handle.alias ?? found.handle.template,
                    state: found.state.rawValue, startedAt: found.startedAt.text, endAt: found.endAt.text,
                    labels: found.metadata)
            }
            let lines = rows.map { row in
                let labels = row.labels.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
                return [row.sandbox, row.template, row.state, row.startedAt, row.endAt, labels.joined(separator: " ")]
            }
            let head = ["SANDBOX", "TEMPLATE", "STATE", "STARTED", "ENDS", "LABELS"]
            try output.print(rows, rows.isEmpty ? "no sandboxes" : Output.table([head] + lines))
        }
    }
}

/// `berth sandbox pause`.
struct SandboxPauseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pause", abstract: "Pause a sandbox; its files and processes are kept.")

    @OptionGroup var provider: ProviderOptions
    @Argument(help: "The sandbox.") var id: String
    @OptionGroup var output: OutputOptions

    func run() async throws {
        try await output.reporting {
            let isNew = try await provider.with { try await $0.pause(id) }
            try output.print(["sandbox": id, "state": "paused"], isNew ? "\(id) paused" : "\(id) was paused already")
        }
    }
}

/// `berth sandbox resume`.
struct SandboxResumeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "resume", abstract: "Let a paused sandbox go on.")

    @OptionGroup var provider: ProviderOptions
    @Argument(help: "The sandbox.") var id: String
    @Option(help: "The seconds it lives from now on.") var timeout: Int64?
    @OptionGroup var output: OutputOptions

    func run() async throws {
        try await output.reporting {
            _ = try await provider.with { try await $0.connect(id, timeout: timeout) }
            try output.print(["sandbox": id, "state": "running"], "\(id) runs")
        }
    }
}

/// `berth sandbox kill`.
struct SandboxKillCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kill", abstract: "End sandboxes and remove everything of them.")

    @OptionGroup var provider: ProviderOptions
    @Argument(help: "The sandboxes.") var ids: [String]
    @OptionGroup var output: OutputOptions

    func run() async throws {
        try await output.reporting {
            try await provider.with { client in
                for id in ids where try await !client.kill(id) {
                    throw BerthError(
                        .notFound, "there is no sandbox \(id)", suggestion: "`berth sandbox list` lists them")
                }
            }
            try output.print(["killed": ids], ids.map { "\($0) killed" }.joined(separator: "\n"))
        }
    }
}
