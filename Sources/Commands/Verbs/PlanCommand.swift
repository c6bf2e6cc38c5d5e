import AppTemplates
import ArgumentParser
import Artifacts
import ControlAPI
import DeploymentCore
import Environments
import Foundation

/// `berth plan`: what a deploy would change, without changing anything.
struct PlanCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plan", abstract: "Say what a deploy would change, and change nothing.")

    @OptionGroup var manifest: ManifestOptions
    @OptionGroup var output: OutputOptions

    func run() async throws { try await Self.run(manifest, output) }

    static func run(_ manifest: ManifestOptions, _ output: OutputOptions) async throws {
        try await output.reporting {
            let preparation = try Preparation(manifest)
            let plan = try await Plan(preparation, try await active(preparation.manifest.name))
            print(output.isJSON ? try Output.json(plan) : plan.text)
        }
    }

    /// The revision that serves now; nil when none does or no control plane runs.
    private static func active(_ name: String) async throws -> RevisionDetail? {
        do {
            return try await Connection.with(starting: false) { client in
                guard let number = try await client.deployment(name).revision else { return nil }
                return try await client.revision(number, of: name)
            }
        } catch let error as BerthError where error.code == .unreachable {
            return nil
        } catch let error as Failure where error.problem.code == .notFound {
            return nil
        }
    }
}

/// The difference between what serves and what would.
struct Plan: Encodable {
    var deployment: String
    var replaces: Int?
    var lock: String
    var environmentChanges: Bool
    var manifestChanges: Bool
    var network: Difference
    var files: [Change]

    struct Change: Encodable {
        var path: String
        /// `added`, `changed`, `removed` or `same`.
        var kind: String
        var sha256: String?
        var previous: String?
    }

    /// A key of the manifest as it is and as it would be.
    struct Difference: Encodable {
        /// nil when nothing serves.
        var before: String?
        var after: String
    }

    init(_ preparation: Preparation, _ active: RevisionDetail?) async throws {
        deployment = preparation.manifest.name
        replaces = active?.revision.number
        let lock = try Lock.read(from: preparation.lockPath)
        let isCurrent = try lock?.isCurrent(for: preparation.lockInputs()) ?? false
        self.lock = isCurrent ? "current" : lock == nil ? "will be made" : "out of date, will be made again"
        environmentChanges = !isCurrent || lock?.text != active?.lock
        manifestChanges = preparation.manifest != active?.manifest
        network = Difference(
            before: active.map { Self.network($0.manifest) }, after: Self.network(preparation.manifest))
        var current: [String: String] = [:]
        for file in try await preparation.files() where file.kind != .smoke { current[file.path] = file.sha256 }
        for file in try preparation.templates.render(preparation.manifest) {
            current[file.path] = BlobStore.digest(of: Array(file.contents.utf8))
        }
        let remote = Set(preparation.manifest.model.files.filter(\.isRemote).map(\.target))
        let placed = (active?.files ?? []).filter { $0.role != .smoke }
        let old = Dictionary(placed.map { ($0.path, $0.sha256) }) { _, last in last }
        files = Set(current.keys).union(old.keys).subtracting(remote).sorted().map { path in
            let kind =
                switch (old[path], current[path]) {
                case (nil, _): "added"
                case (_, nil): "removed"
                case (let before, let after): before == after ? "same" : "changed"
                }
            return Change(path: path, kind: kind, sha256: current[path], previous: old[path])
        }
    }

    private static func network(_ manifest: Manifest) -> String { (manifest.network ?? .nothing).description }

    var text: String {
        var lines = [replaces.map { "\(deployment): would replace revision \($0)" } ?? "\(deployment): would be new"]
        let changes = files.filter { $0.kind != "same" }
        if replaces != nil, changes.isEmpty, !environmentChanges, !manifestChanges {
            return "\(deployment): nothing would change; a deploy would start the same bundle again as a new revision"
        }
        lines.append("  manifest     \(replaces == nil ? "new" : manifestChanges ? "changed" : "same")")
        if network.before != network.after, network.before != nil || network.after != "none" {
            lines.append("  network      \(network.before.map { "\($0) → " } ?? "")\(network.after)")
        }
        lines.append("  environment  \(environmentChanges ? "changes" : "same"), lock \(lock)")
        lines.append("  files        \(changes.count) of \(files.count) change")
        for change in changes {
            let mark = change.kind == "added" ? "+" : change.kind == "removed" ? "-" : "~"
            let digests = [change.previous, change.sha256].compactMap { $0?.prefix(12) }.joined(separator: " → ")
            lines.append("    \(mark) \(change.path)  \(digests)")
        }
        return lines.joined(separator: "\n")
    }
}
