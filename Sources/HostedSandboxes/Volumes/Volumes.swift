import DeploymentCore
import DeploymentStore
import E2BProtocol
import Foundation
import Sandboxes
import Waiting

/// The volumes of clients: folders that sandboxes mount, several at once, and that outlive them.
public struct Volumes: Sendable {
    /// The longest name, in bytes.
    private static let maximumName = 128

    private let store: DeploymentStore
    private let provider: any SandboxProvider
    private let tokens: SandboxTokens
    private let folder: String
    private let now: @Sendable () -> Int64
    private let announce: @Sendable (String) -> Void
    let keepers: VolumeKeepers

    /// Serves the volumes in a folder, which only this user can look into.
    public init(
        store: DeploymentStore, provider: any SandboxProvider, folder: String, tokens: SandboxTokens,
        clock: any Clock<Duration> = ContinuousClock(), now: @escaping @Sendable () -> Int64,
        announce: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.store = store
        self.provider = provider
        self.tokens = tokens
        self.folder = folder
        self.now = now
        self.announce = announce
        keepers = VolumeKeepers(provider: provider, folder: folder, clock: clock, now: now, announce: announce)
    }

    /// All volumes, oldest first.
    public func list() throws -> [VolumeInformation] {
        try store.volumes().map { VolumeInformation(volume: $0.id, name: $0.name) }
    }

    /// Makes a volume.
    ///
    /// - Throws: 400 for a name that is none or is taken, as clients know it; 501 where sandboxes cannot mount one.
    public func create(_ name: String) async throws -> VolumeInformation {
        let isValid =
            (1...Self.maximumName).contains(name.utf8.count)
            && name.utf8.allSatisfy {
                (0x61...0x7A).contains($0 | 0x20) || (0x30...0x39).contains($0) || $0 == 0x5F || $0 == 0x2D
            }
        guard isValid else {
            throw ControlFailure(
                400, "Invalid volume name: 1 to \(Self.maximumName) of a-z, A-Z, 0-9, _ and - are one")
        }
        let isolation = try await provider.capabilities().isolation
        guard isolation == .namespaces else {
            throw ControlFailure(
                501,
                "volumes are not offered by this server: its sandboxes are on the rung \(isolation.rawValue), and volumes "
                    + "need namespaces", kind: "not_implemented", shouldRetry: false)
        }
        let record = VolumeRecord(id: Identifiers.event(), name: name, createdAt: now())
        do {
            // First, so that no record is ever without one; a folder without a record is removed at the next start.
            try makeFolder(record.id)
            try store.add(record)
        } catch let error as BerthError where error.code == .conflict {
            try? FileManager.default.removeItem(atPath: "\(folder)/\(record.id)")
            throw ControlFailure(400, error.message)
        }
        return information(record)
    }

    /// A volume with its token.
    ///
    /// - Throws: 404.
    public func information(_ id: String) throws -> VolumeInformation {
        guard let record = try store.volume(id) else { throw Self.noVolume(id) }
        return information(record)
    }

    /// Removes a volume with its contents.
    ///
    /// - Throws: 404; 409 naming a sandbox that mounts it.
    public func remove(_ id: String) async throws {
        guard try store.removeVolume(id) else { throw Self.noVolume(id) }
        do {
            try await uncancelled { try await erase(id) }
        } catch {
            announce("the contents of volume \(id) are not removed before the next start: \(error)")
        }
    }

    /// Whether a text is the token of a volume's contents.
    public func accepts(_ token: String, for id: String) -> Bool {
        ConstantTime.equals(token, tokens.volumeToken(id))
    }

    /// Removes what an earlier control plane left; returns what could not be removed.
    public func recover() async throws -> [String] {
        var failures = try await keepers.sweep()
        let known = Set(try store.volumes().map(\.id))
        for id in (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [] where !known.contains(id) {
            do {
                try await erase(id)
            } catch {
                failures.append("the contents of volume \(id), which nobody has, were not removed: \(error)")
            }
        }
        return failures
    }

    /// Removes sandboxes that nobody needs for volumes any more, until the task is cancelled.
    public func run() async { await keepers.run() }

    /// Removes all sandboxes for volumes; the volumes stay.
    public func close() async { await keepers.close() }

    /// Begins to work on a volume's contents.
    ///
    /// - Throws: 404 when there is no such volume.
    func work(_ id: String) async throws -> VolumeWork {
        guard try store.volume(id) != nil else {
            throw VolumeFailure(404, "VOLUME_NOT_FOUND", "there is no volume \(VisibleText.of(id))")
        }
        return VolumeWork(stay: try await keepers.enter(id))
    }

    /// Empties the folder from inside, where its owners are known, and then removes it.
    private func erase(_ id: String) async throws {
        // Its users are gone with the record; what they still write must not come after.
        await keepers.end(id)
        if rmdir("\(folder)/\(id)") == 0 || errno == ENOENT { return }
        do {
            let work = VolumeWork(stay: try await keepers.enter(id))
            _ = try await work.run(VolumeScript.command(.erase), on: id)
        } catch {
            await keepers.end(id)
            throw error
        }
        await keepers.end(id)
        guard rmdir("\(folder)/\(id)") == 0 else {
            throw BerthError(.internalError, "\(folder)/\(id) cannot be removed: \(String(cString: strerror(errno)))")
        }
    }

    private func makeFolder(_ id: String) throws {
        let path = "\(folder)/\(id)"
        let isThere = mkdir(folder, 0o700) == 0 || errno == EEXIST
        // Our mask is not that of those inside.
        guard isThere, mkdir(path, 0o755) == 0, chmod(path, 0o755) == 0 else {
            let code: BerthError.Code = errno == ENOSPC || errno == EDQUOT ? .storageFull : .internalError
            throw BerthError(code, "\(path) cannot be made: \(String(cString: strerror(errno)))")
        }
    }

    private func information(_ record: VolumeRecord) -> VolumeInformation {
        VolumeInformation(volume: record.id, name: record.name, token: tokens.volumeToken(record.id))
    }

    private static func noVolume(_ id: String) -> ControlFailure {
        ControlFailure(404, "Volume '\(VisibleText.of(id))' not found")
    }
}
