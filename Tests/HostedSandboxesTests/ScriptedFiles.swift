import DeploymentCore
import DeploymentStore
import E2BProtocol
import Sandboxes

@testable import HostedSandboxes

/// Keeps files of sandboxes that have none: what is stored and who stands still are entries of tables.
final class ScriptedFiles: FileKeeping {
    struct State {
        var stored: Set<String> = []
        var pinned: Set<String> = []
        /// Sandboxes whose processes stand still.
        var still: Set<String> = []
    }

    let state = Locked(State())
    private let engine: ScriptedEngine
    private let store: DeploymentStore

    init(engine: ScriptedEngine, store: DeploymentStore) {
        self.engine = engine
        self.store = store
    }

    static func archive(_ id: String) -> String { "files-of-\(id)" }
    var stored: Set<String> { state.withLock(\.stored) }
    var still: Set<String> { state.withLock(\.still) }

    func keep(
        _ sandbox: any Sandbox, of record: HostedSandboxRecord, token: String?
    ) async throws -> KeptFiles {
        let archive = Self.archive(record.id)
        do {
            try await engine.run(.keep, record.id) {
                state.withLock { state in
                    state.stored.insert(archive)
                    state.pinned.insert(archive)
                    state.still.insert(record.id)
                }
            }
        } catch {
            // As it has to be: on an error nothing is left.
            state.withLock { state in
                state.stored.remove(archive)
                state.pinned.remove(archive)
                state.still.remove(record.id)
            }
            throw error
        }
        return KeptFiles(archive: archive, content: "{}")
    }

    func release(_ sandbox: any Sandbox, of record: HostedSandboxRecord, token: String?) async throws {
        try await engine.run(.release, record.id) { state.withLock { _ = $0.still.remove(record.id) } }
    }

    func image(of files: KeptFiles, of record: HostedSandboxRecord) async throws -> SandboxImage {
        guard stored.contains(files.archive) else { throw ControlFailure(500, "the files are gone") }
        return SandboxImage(
            template: record.template, build: record.build,
            mounts: [SandboxSpecification.Mount(source: "/host/environment", target: "/opt/env")])
    }

    func settle(_ files: KeptFiles) {
        state.withLock { _ = $0.pinned.remove(files.archive) }
        remove(files.archive)
    }

    func remove(_ archive: String) {
        guard let named = try? store.archives(), !named.contains(archive) else { return }
        state.withLock { state in
            if !state.pinned.contains(archive) { state.stored.remove(archive) }
        }
    }

    /// Puts files there that an earlier control plane stored.
    func plant(_ id: String) { state.withLock { _ = $0.stored.insert(Self.archive(id)) } }
}
