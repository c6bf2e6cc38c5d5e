import ArgumentParser
import DeploymentCore
import E2BProtocol
import Foundation
import RemoteSandbox
import Sandboxes

extension ProviderOptions {
    /// The agent of a sandbox that runs; a paused one is not resumed by it.
    ///
    /// - Throws: `not_found`, `conflict` when it is paused.
    fileprivate static func agent(
        of id: String, as user: String? = nil, _ client: E2BClient
    ) async throws -> EnvdClient {
        guard try await client.sandbox(id).state == .running else {
            throw BerthError(.conflict, "sandbox \(id) is paused", suggestion: "berth sandbox resume \(id)")
        }
        // The tokens come with a connection alone; without a time of its own it would extend the sandbox's life.
        let handle = try await client.connect(id, timeout: 1)
        return client.agent(of: handle, as: user)
    }
}

/// `berth sandbox exec`.
struct SandboxExecCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "exec", abstract: "Run a command in a sandbox.",
        discussion: """
            Ends with the command's exit code, 128 + n when signal n ended it, 127 when it could not be started.
            """)

    @Argument(help: "The sandbox.")
    var id: String

    @OptionGroup var provider: ProviderOptions
    @OptionGroup var options: ExecOptions

    @Flag(name: .shortAndLong, help: "Pass standard input on.")
    var interactive = false

    @Flag(name: [.customShort("t"), .customLong("tty")], help: "Run it on a terminal.")
    var terminal = false

    @Argument(parsing: .postTerminator, help: ArgumentHelp("The command, after --.", valueName: "command"))
    var command: [String]

    func run() async throws {
        try await options.run(command, in: id, of: provider, isInteractive: interactive, hasTerminal: terminal)
    }
}

/// `berth sandbox shell`.
struct SandboxShellCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "shell", abstract: "Open a shell in a sandbox.")

    @Argument(help: "The sandbox.")
    var id: String

    @OptionGroup var provider: ProviderOptions
    @OptionGroup var options: ExecOptions

    func run() async throws {
        try await options.run(
            ExecOptions.shell, in: id, of: provider, isInteractive: true, hasTerminal: isatty(0) == 1)
    }
}

extension ExecOptions {
    fileprivate func run(
        _ command: [String], in id: String, of provider: ProviderOptions, isInteractive: Bool, hasTerminal: Bool
    ) async throws {
        let code = try await provider.with { client in
            let place = Place(
                agent: try await ProviderOptions.agent(of: id, as: user, client), folder: nil, environment: [:],
                withoutTerminal: "berth sandbox exec \(id) -i -- sh",
                afterBreak: "`berth sandbox list` tells whether the sandbox is still there")
            // The agent looks for programs on its own PATH, a shell on that of the sandbox's user.
            let found = command.first?.contains("/") ?? true ? command : Self.onPath + command
            return try await run(found, in: place, isInteractive: isInteractive, hasTerminal: hasTerminal)
        }
        if code != 0 { throw ExitCode(code) }
    }

    private static let onPath = ["/bin/sh", "-c", #"exec "$0" "$@""#]
}

/// `berth sandbox cp`.
struct SandboxCopyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cp", abstract: "Copy files and folders into or out of a sandbox.",
        discussion: """
            berth sandbox cp data ID:/tmp
            berth sandbox cp ID:result.json .

            As `berth cp`, with the sandbox's id before the colon.
            """)

    @OptionGroup var provider: ProviderOptions

    @OptionGroup var sides: CopySides

    @OptionGroup var output: OutputOptions

    func run() async throws {
        try await sides.copy(output) { copy in
            try await provider.with { client in
                try await copy { try await ProviderOptions.agent(of: $0, client) }
            }
        }
    }
}
