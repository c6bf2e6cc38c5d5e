import ArgumentParser
import ControlAPI
import DeploymentCore
import Environments
import Foundation

/// `berth deploy`: from a manifest to a served prediction.
struct DeployCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "deploy", abstract: "Deploy a manifest; traffic moves only once its predictions hold.")

    @OptionGroup var manifest: ManifestOptions
    @OptionGroup var output: OutputOptions

    @Flag(inversion: .prefixedNo, help: "Wait for the verdict.")
    var wait = true

    @Option(help: ArgumentHelp("Destroy it after this time: 90m, 2h, 1d.", valueName: "time"))
    var ttl: String?

    @Flag(help: "Print what would happen, and change nothing (the same as `berth plan`).")
    var dryRun = false

    func run() async throws {
        if dryRun { return try await PlanCommand.run(try options(), output) }
        try await output.reporting { try await deploy(try options()) }
    }

    /// The manifest's options with what other flags lay over it.
    private func options() throws -> ManifestOptions {
        guard let ttl else { return manifest }
        guard let milliseconds = TimeText.milliseconds(ttl) else { throw TimeText.noLength(ttl) }
        var options = manifest
        options.overrides.append("ttl=\(milliseconds / 1_000)s")
        return options
    }

    private func deploy(_ manifest: ManifestOptions) async throws {
        let progress = Progress(isQuiet: output.quiet)
        let start = ContinuousClock.now
        let preparation = try Preparation(manifest) { progress.say($0) }
        progress.say("\(preparation.manifest.name)  \(preparation.path)")
        try await Connection.with(starting: true, progress: progress) { client in
            let session = RolloutSession(progress: progress, client: client)
            let request = try await session.prepare(preparation, .deploy)
            let rollout = try await session.run(request, isWaiting: wait)
            try report(rollout, preparation.manifest, progress, ContinuousClock.now - start)
        }
    }

    private func report(
        _ rollout: RolloutResource, _ manifest: Manifest, _ progress: Progress, _ elapsed: Duration
    ) throws {
        try output.finish(rollout)
        if output.isJSON { return }
        guard wait else {
            print(rollout.id)
            return
        }
        let time = Output.duration(milliseconds: elapsed.milliseconds)
        progress.say("revision \(rollout.revision) of \(rollout.deployment) serves after \(time)\n")
        print(CurlLine(rollout, manifest).text)
    }
}

/// A line that works when pasted into a shell.
struct CurlLine {
    let text: String

    init(_ rollout: RolloutResource, _ manifest: Manifest) {
        let url = rollout.url ?? ""
        let test = manifest.smoke.first { $0.request.path == nil }
        var parts = ["curl -s \(url)"]
        for (name, value) in (test?.request.headers ?? [:]).sorted(by: { $0.key < $1.key }) {
            // The line ends up in CI logs: what authenticates is left for the user to fill in.
            let isPublic = ["accept", "content-type"].contains(name.lowercased())
            parts.append("-H \(Self.quote("\(name): \(isPublic ? value : "…")"))")
        }
        switch test?.request.body {
        case .json(let value):
            parts.append("-H 'content-type: application/json' -d \(Self.quote(value.description))")
        case .form(let fields):
            for field in fields {
                switch field.value {
                case .text(let text): parts.append("-F \(Self.quote("\(field.name)=\(text)"))")
                case .file(let path): parts.append("-F \(Self.quote("\(field.name)=@\(path)"))")
                }
            }
        case .some(.none), nil:
            if let test, test.request.method != "GET" { parts.append("-X \(test.request.method)") }
            if test == nil { parts = ["curl -s \(url.dropLast("predict".count))info"] }
        }
        text = parts.joined(separator: " ")
    }

    private static func quote(_ text: String) -> String { "'" + text.replacing("'", with: "'\\''") + "'" }
}

extension RolloutSession {
    /// Locks, collects and uploads; returns the request.
    func prepare(_ preparation: Preparation, _ kind: DeployRequest.Kind) async throws -> DeployRequest {
        // What is cheap to find wrong is looked at first.
        let files = try await preparation.files()
        progress.doing("lock")
        let start = ContinuousClock.now
        let (lock, isNew) = try await preparation.lock()
        let name = URL(fileURLWithPath: preparation.lockPath).lastPathComponent
        progress.done(
            "lock", (ContinuousClock.now - start).milliseconds,
            "\(name)\(isNew ? " made: commit it, so that everyone gets" : ",") \(lock.pins.count) packages",
            reused: !isNew)
        try await upload(files)
        return try preparation.request(kind, lock: lock, files: files)
    }
}
