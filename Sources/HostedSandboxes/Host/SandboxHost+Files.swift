import DeploymentCore
import DeploymentStore
import E2BProtocol
import Sandboxes
import Waiting

/// Pauses that keep files alone. Once the record names the archive of them, the archive is the sandbox: what the engine
/// still has, or has already, is removed, until a resumed sandbox runs and the record says so.
extension SandboxHost {
    /// Stores the files of a sandbox that is written as about to be paused, and writes that it is.
    ///
    /// - Throws: what keeps the files from being stored or written down; its processes may stand still then.
    func keepFiles(of id: String, _ sandbox: any Sandbox) async throws {
        let record = try visible(id).record
        let keeper = surroundings.files
        let secret = secret(of: record)
        // Beside the answer: it may come just as the time for it is over.
        let stored = Locked<KeptFiles?>(nil)
        defer { if let files = stored.withLock({ $0 }) { keeper.settle(files) } }
        try await within("keeping the files of sandbox \(id)", limit: settings.filesLimit) {
            let files = try await keeper.keep(sandbox, of: record, token: secret)
            stored.withLock { $0 = files }
        }
        let files = stored.withLock { $0 }
        try write(id, event: .paused, data: execution(record)) { record in
            paused(&record)
            record.archive = files?.archive
            record.content = files?.content
        }
    }

    /// Makes a sandbox again from its files; they are kept until it runs and that is written down.
    func resumeAlone(_ id: String, timeout: Int64, from files: KeptFiles) async throws {
        let entry = try visible(id)
        let keeper = surroundings.files
        let image = try await keeper.image(of: files, of: entry.record)
        let capabilities = try await surroundings.provider.capabilities()
        let wish = try NetworkWish(
            allowsInternet: entry.record.allowsInternet, settings: entry.record.networkSettings,
            enforcement: capabilities.network)
        var specification = Self.specification(id, wish.access, image, capabilities)
        specification.volumes = try volumes(entry.record.volumeMounts)
        try requireRoom()
        let record = try write(id) { record in
            record.state = .resuming
            record.mounts = image.mounts.map(\.source)
        }
        do {
            try await removeRemains(id)
            try await boot(record, from: image, specification, entry.log, limit: settings.filesLimit)
            let running = try write(id, event: .resumed) { resumed(&$0, timeout: timeout) }
            wheel.set(id, at: running.endAt)
        } catch {
            throw await given(up: id, error)
        }
        keeper.remove(files.archive)
        note(id, "the sandbox was started anew from its files")
    }

    /// Lets a sandbox that is paused with its processes start anew from its files, which have to be read inside first.
    func rebootAlone(_ id: String, timeout: Int64) async throws {
        entries[id]?.isHeld = true
        defer { entries[id]?.isHeld = false }
        try await resumeAlone(id, timeout: timeout)
        do {
            try await pauseAlone(id, .filesystem)
        } catch {
            // It runs again then, as it was not asked to.
            if entries[id]?.record.state == .running { try? await pauseAlone(id, .full) }
            throw error
        }
        try await resumeAlone(id, timeout: timeout)
    }

    /// Removes what the engine has of a sandbox whose files are kept.
    func removeRemains(_ id: String) async throws {
        let provider = surroundings.provider
        try await within("removing the processes of sandbox \(id)") { try await provider.destroy(id) }
        entries[id]?.sandbox = nil
        wheel.set(id, at: nil)
    }

    /// The same, and again later when it fails: the pause itself has succeeded.
    func removeRemainsOrLater(_ id: String) async {
        do {
            try await removeRemains(id)
        } catch {
            surroundings.announce("sandbox \(id) is paused, but its processes are not removed yet: \(error)")
            wheel.set(id, at: now)
        }
    }

    /// Makes a sandbox paused whose files are kept, whatever was about to be done to it.
    func revertToFiles(_ id: String) async throws {
        try await removeRemains(id)
        if entries[id]?.record.state != .paused { try write(id) { $0.state = .paused } }
    }

    /// Lets the processes go on that a pause stopped which came to nothing.
    ///
    /// - Throws: `not_found` when the sandbox has ended, and nothing else of that code.
    func releaseProcesses(of id: String, _ sandbox: any Sandbox) async throws {
        guard let record = entries[id]?.record else { return }
        let keeper = surroundings.files
        let secret = secret(of: record)
        try await within("looking after sandbox \(id)") { _ = try await sandbox.statistics() }
        do {
            try await within("continuing the processes of sandbox \(id)") {
                try await keeper.release(sandbox, of: record, token: secret)
            }
        } catch {
            throw BerthError(.sandbox, "the processes of sandbox \(id) cannot be continued", cause: error)
        }
    }
}
