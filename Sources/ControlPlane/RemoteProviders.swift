import CurlClient
import DeploymentCore
import Foundation
import RemoteSandbox
import Sandboxes
import ServiceLifecycle

/// Who makes sandboxes elsewhere, as far as the environment names it.
struct RemoteProviders: Sendable {
    /// The file that holds this control plane's mark on its sandboxes.
    static let ownerFile = "e2b.owner"
    /// The longest such mark, in bytes.
    private static let ownerLimit = 64

    /// E2B, when `E2B_API_KEY` is set.
    let e2b: E2BProvider?

    var all: [any SandboxProvider] { e2b.map { [$0] } ?? [] }

    /// - Throws: `usage` for settings that make no sense.
    init(
        _ configuration: Configuration, environment: [String: String], curl: CurlClient,
        now: @escaping @Sendable () -> Int64, announce: @escaping @Sendable (String) -> Void
    ) throws {
        guard let key = environment["E2B_API_KEY"], !key.isEmpty else {
            e2b = nil
            return
        }
        let account = try E2BAccount(environment: environment)
        let settings = try E2BProvider.Settings(owner: try Self.owner(configuration), environment: environment)
        e2b = E2BProvider(
            client: E2BClient(account: account, curl: curl), settings: settings, now: now, announce: announce)
    }

    /// What tells our sandboxes from those of others with the same key; made once for each home.
    static func owner(_ configuration: Configuration) throws -> String {
        let path = configuration.path(ownerFile)
        if let text = try? String(contentsOfFile: path, encoding: .utf8) {
            let owner = text.trimmingCharacters(in: .whitespacesAndNewlines)
            guard !owner.isEmpty, owner.utf8.count <= ownerLimit else {
                throw BerthError(
                    .internalError, "\(path) does not hold what was written to it", suggestion: "remove it")
            }
            return owner
        }
        let letters = Array("abcdefghijklmnopqrstuvwxyz0123456789")
        let owner = String((0..<20).map { _ in letters.randomElement() ?? "a" })
        do {
            try Data("\(owner)\n".utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
        } catch {
            throw BerthError(.storageFull, "cannot write \(path)", cause: error)
        }
        return owner
    }

    /// Keeps the sandboxes alive until a stop begins.
    struct Keeping: Service {
        let providers: RemoteProviders

        func run() async throws {
            guard let e2b = providers.e2b else {
                try await gracefulShutdown()
                return
            }
            await cancelWhenGracefulShutdown { await e2b.run() }
        }
    }

    func close() async { await e2b?.close() }
}
