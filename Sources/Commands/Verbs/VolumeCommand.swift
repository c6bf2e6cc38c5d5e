import ArgumentParser
import DeploymentCore

/// `berth volume`: folders that sandboxes of clients share.
struct VolumeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "volume", abstract: "Make, list and remove the folders that sandboxes of clients share.",
        discussion: """
            A sandbox mounts them by name, in E2B's SDKs as volume_mounts={"/mnt/data": "NAME"}. They outlive the sandboxes.
            """, subcommands: [Create.self, List.self, Remove.self])

    /// `berth volume create`.
    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(commandName: "create", abstract: "Make a volume.")

        @Argument(help: "The name: letters, digits, - and _.")
        var name: String

        @OptionGroup var output: OutputOptions

        func run() async throws {
            try await output.reporting {
                try await Connection.with(starting: true) { client in
                    try output.print(try await client.makeVolume(name), "\(name): made")
                }
            }
        }
    }

    /// `berth volume list`.
    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(commandName: "list", abstract: "List the volumes.")

        @OptionGroup var output: OutputOptions

        func run() async throws {
            try await output.reporting {
                try await Connection.with(starting: false) { client in
                    let volumes = try await client.volumes()
                    let rows = volumes.map { [$0["name"]?.string ?? "", $0["volumeID"]?.string ?? ""] }
                    try output.print(volumes, rows.isEmpty ? "no volumes" : Output.table([["NAME", "VOLUME"]] + rows))
                }
            }
        }
    }

    /// `berth volume remove`.
    struct Remove: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "remove", abstract: "Remove a volume with all that is in it, unless a sandbox mounts it.")

        @Argument(help: "Its name or id.")
        var name: String

        @OptionGroup var output: OutputOptions

        func run() async throws {
            try await output.reporting {
                try await Connection.with(starting: false) { client in
                    try await client.removeVolume(name)
                    try output.print(["removed": name], "\(name): removed")
                }
            }
        }
    }
}
