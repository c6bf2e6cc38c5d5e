import ArgumentParser
import ControlAPI
import DeploymentCore
import Foundation

/// `berth test`: the whole rollout beside what runs, without the exposing, and nothing left afterwards.
struct TestCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "test",
        abstract: "Deploy beside what runs, run the smoke predictions, report, remove everything.")

    @OptionGroup var manifest: ManifestOptions
    @OptionGroup var output: OutputOptions

    @Option(help: ArgumentHelp("Write a JUnit XML report.", valueName: "file"))
    var junit: String?

    @Option(name: .customLong("json"), help: ArgumentHelp("Write the report as JSON.", valueName: "file"))
    var jsonFile: String?

    func run() async throws {
        try await output.reporting {
            let progress = Progress(isQuiet: output.quiet)
            let preparation = try Preparation(manifest) { progress.say($0) }
            progress.say("\(preparation.manifest.name)  \(preparation.path)  (test)")
            try await Connection.with(starting: true, progress: progress) { client in
                let session = RolloutSession(progress: progress, client: client)
                let rollout = try await session.run(try await session.prepare(preparation, .test))
                try report(rollout, preparation.manifest)
            }
        }
    }

    private func report(_ rollout: RolloutResource, _ manifest: Manifest) throws {
        if let junit { try write(JUnitReport(rollout, manifest).xml, to: junit) }
        if let jsonFile { try write(try Output.json(rollout) + "\n", to: jsonFile) }
        try output.finish(rollout)
        guard !output.isJSON else { return }
        let count = rollout.smoke.count
        print("\(rollout.deployment): \(count) smoke prediction\(count == 1 ? "" : "s") passed, nothing left behind")
    }

    private func write(_ text: String, to path: String) throws {
        do {
            try text.write(toFile: path, atomically: true, encoding: .utf8)
        } catch {
            throw BerthError(.usage, "cannot write the report to \(path)", cause: error)
        }
    }
}
