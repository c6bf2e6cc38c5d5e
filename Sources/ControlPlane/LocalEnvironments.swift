import DeploymentCore
import Environments
import Orchestration

extension EnvironmentProgress {
    /// What a user reads while it runs.
    var text: String {
        switch self {
        case .waiting: "somebody else builds the same one"
        case .installing(let done, let total): "\(done) of \(total) packages"
        case .downloading(let package, let size): "fetching \(package), \(size)"
        case .downloaded(let package): "fetched \(package)"
        case .compiling: "compiling byte code"
        case .finishing: "writing to disk"
        case .warning(let text): text
        }
    }
}

/// Builds environments on this machine with uv.
struct LocalEnvironments: EnvironmentBuilding {
    /// How long an environment stays after its last use; the next deploy of the same lock then costs nothing.
    static let retention = 7 * 24 * 3_600

    let store: EnvironmentStore
    /// The folders that sandboxes of clients show, running or paused; deployments tell theirs by digest.
    let mounted: @Sendable () throws -> Set<String>

    func removeUnused(keeping digests: Set<String>) async throws {
        try await store.collectGarbage(keeping: digests, mounted: try mounted(), graceSeconds: Self.retention)
    }

    func environment(
        lock: String, python: String?, progress: @escaping @Sendable (String) -> Void
    ) async throws -> BuiltEnvironment {
        let environment = try await store.environment(for: try Lock(parsing: lock), python: python) {
            progress($0.text)
        }
        return BuiltEnvironment(
            digest: environment.digest, folder: environment.path, interpreterFolder: environment.interpreterPrefix,
            packages: environment.packages, isReused: environment.reused)
    }
}
