import AppTemplates
import ArgumentParser
import Artifacts
import DeploymentCore
import Environments
import Foundation
import ManifestParsing

/// `berth validate`: every error of a manifest, without doing anything.
struct ValidateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "validate", abstract: "Check a manifest and the files it names.")

    @OptionGroup var manifest: ManifestOptions
    @OptionGroup var output: OutputOptions

    @Flag(help: "Print the JSON Schema of manifests, for editors.")
    var schema = false

    func run() async throws {
        if schema {
            print(ManifestSchema.json())
            return
        }
        try await output.reporting {
            let preparation = try Preparation(manifest) { warning in
                FileHandle.standardError.write(Data((warning + "\n").utf8))
            }
            let files = try await preparation.files()
            try output.print(
                preparation.manifest,
                "\(preparation.path): valid, \(files.count) file\(files.count == 1 ? "" : "s")")
        }
    }
}

/// `berth render`: the app as it would be deployed.
struct RenderCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "render", abstract: "Write the app as it would be deployed; it is yours to keep.")

    @OptionGroup var manifest: ManifestOptions

    @Option(
        name: [.customShort("o"), .customLong("to")], help: ArgumentHelp("The folder to write to.", valueName: "folder")
    )
    var folder: String

    @OptionGroup var output: OutputOptions

    func run() async throws { try await output.reporting { try await render() } }

    private func render() async throws {
        let preparation = try Preparation(manifest)
        let target = URL(fileURLWithPath: folder)
        var written: [String] = []
        for file in try preparation.templates.render(preparation.manifest) {
            let path = target.appending(path: file.path)
            try FileManager.default.createDirectory(
                at: path.deletingLastPathComponent(), withIntermediateDirectories: true)
            try file.contents.write(to: path, atomically: true, encoding: .utf8)
            written.append(path.path(percentEncoded: false))
        }
        for file in try await preparation.files() where file.kind != .smoke {
            let path = target.appending(path: file.path)
            try FileManager.default.createDirectory(
                at: path.deletingLastPathComponent(), withIntermediateDirectories: true)
            try? FileManager.default.removeItem(at: path)
            try FileManager.default.copyItem(atPath: file.source, toPath: path.path(percentEncoded: false))
            written.append(path.path(percentEncoded: false))
        }
        try output.print(["files": written], written.joined(separator: "\n"))
    }
}

/// `berth lock`: requirements to a hashed lock beside the manifest.
struct LockCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lock", abstract: "Resolve the requirements into a hashed lock beside the manifest.")

    @OptionGroup var manifest: ManifestOptions
    @OptionGroup var output: OutputOptions

    @Flag(help: "Only say whether the lock is current; exit 11 when it is not.")
    var check = false

    func run() async throws {
        try await output.reporting {
            let preparation = try Preparation(manifest)
            if check {
                let lock = try Lock.read(from: preparation.lockPath)
                guard try lock?.isCurrent(for: preparation.lockInputs()) == true else {
                    throw BerthError(
                        .dependencies, "\(preparation.lockPath) \(lock == nil ? "does not exist" : "is out of date")",
                        suggestion: "run `berth lock \(preparation.path)`")
                }
                try output.print(
                    ["lock": preparation.lockPath, "state": "current"], "\(preparation.lockPath): current")
                return
            }
            let (lock, _) = try await preparation.lock(refreshing: true)
            try output.print(
                ["lock": preparation.lockPath, "packages": "\(lock.pins.count)"],
                "\(preparation.lockPath): \(lock.pins.count) packages")
        }
    }
}

/// `berth completions`: what a shell needs to complete our verbs.
struct CompletionsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "completions", abstract: "Print shell completions: bash, zsh or fish.",
        discussion: "For bash: berth completions bash > ~/.local/share/bash-completion/completions/berth")

    @Argument(help: "bash, zsh or fish.")
    var shell: String

    func run() throws {
        guard let shell = CompletionShell(rawValue: shell) else {
            throw BerthError(.usage, "there are no completions for \(shell)", suggestion: "choose bash, zsh or fish")
        }
        print(BerthCommand.completionScript(for: shell))
    }
}
