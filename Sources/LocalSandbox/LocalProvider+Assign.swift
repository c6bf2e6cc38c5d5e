import DeploymentCore
import Foundation
import Sandboxes

extension LocalProvider {
    /// Gives a running sandbox other labels and shows it model files.
    ///
    /// Nothing can be mounted into a running sandbox, but what is linked into a folder that it sees read-only appears
    /// there. Without namespaces the files are copied, as at the creation.
    /// - Throws: `not_found` without such a sandbox; `sandbox` when a file cannot be linked.
    public func assign(
        _ id: String, labels: SandboxLabels, models: [SandboxSpecification.Mount]
    ) async throws -> [String: String] {
        try MountRules.check(SandboxSpecification(id: id, labels: labels, mounts: models))
        let folder = sandboxFolder(id)
        let state = try await Blocking.run {
            guard var state = try folder.state() else { throw BerthError(.notFound, "there is no sandbox \(id)") }
            try folder.change { $0.labels = labels }
            state.labels = labels
            state.group?.weigh(1)
            return state
        }
        // What is refused from now on is told in the log of whom it is for.
        try await openWay(of: state)
        return try await Blocking.run {
            guard !state.isolation.sharesHost else {
                _ = try MountRules.copyIntoHome(models, home: folder.home)
                return [:]
            }
            var links: [String: String] = [:]
            for (number, model) in models.enumerated() {
                let name = "\(number)-\((model.target as NSString).lastPathComponent)"
                do {
                    // A hard link: no copy, however large the model is.
                    try FileManager.default.linkItem(atPath: model.source, toPath: "\(folder.models)/\(name)")
                } catch {
                    throw BerthError(.sandbox, "\(model.source) cannot be linked into sandbox \(id)", cause: error)
                }
                links[model.target] = "\(BubblewrapCommand.models)/\(name)"
            }
            return links
        }
    }
}
