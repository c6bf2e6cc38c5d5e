import DeploymentCore
import DeploymentStore
import E2BProtocol
import Sandboxes
import Waiting

extension SandboxHost {
    /// How many sandboxes are taken hold of at once.
    private static let adoptedAtOnce = 8

    /// Brings the world back to what the store says, after a stop or a crash at any point.
    ///
    /// Running and paused sandboxes are taken hold of, those whose end or creation had begun are removed, those that are
    /// gone are marked killed, and sandboxes of ours that nobody knows are removed. Called once, before anything else.
    /// - Returns: what could not be done, for the log.
    public func recover() async throws -> [String] {
        let provider = surroundings.provider
        let found = try await provider.list().filter(\.labels.isHosted)
        let records = try store.hostedSandboxes()
        let known = Set(records.map(\.id))
        journal?.sweep(keeping: known)
        for record in records { entries[record.id] = Entry(record: record, journal) }
        var failures: [String] = []
        for orphan in found where !known.contains(orphan.id) {
            do {
                try await within("removing sandbox \(orphan.id)") { try await provider.destroy(orphan.id) }
            } catch {
                failures.append("sandbox \(orphan.id), which nobody owns, was not removed: \(error)")
            }
        }
        let enforcement = try await provider.capabilities().network
        let states = Dictionary(found.map { ($0.id, $0) }) { first, _ in first }
        var waiting = records.map(\.id)[...]
        await withTaskGroup(of: String?.self) { group in
            for id in waiting.prefix(Self.adoptedAtOnce) {
                group.addTask { await self.recover(id, states[id], enforcement) }
            }
            waiting = waiting.dropFirst(Self.adoptedAtOnce)
            while let failure = await group.next() {
                if let failure { failures.append(failure) }
                guard let id = waiting.popFirst() else { continue }
                group.addTask { await self.recover(id, states[id], enforcement) }
            }
        }
        return failures
    }

    private func recover(
        _ id: String, _ found: SandboxRecord?, _ enforcement: NetworkEnforcement
    ) async -> String? {
        guard let record = entries[id]?.record else { return nil }
        do {
            switch record.state {
            case .creating, .ending:
                entries[id]?.record.state = .ending
                try await finishEnding(id)
            case .paused where record.keptFiles != nil, .resuming where record.keptFiles != nil:
                // Nothing but the files is to be there: not what a pause has left, nor what a resumption has begun.
                try await revertToFiles(id)
            case .running, .pausing, .paused, .resuming:
                guard let found, found.isAlive else {
                    try await killAlone(id, because: "the sandbox was gone when the server began")
                    return nil
                }
                try await adopt(id, found, enforcement)
            }
            return nil
        } catch let error as BerthError where error.code == .notFound && record.keptFiles == nil {
            await lose(id)
            return nil
        } catch {
            // The wheel tries again what is between two states; the others are taken hold of when they are used.
            wheel.set(id, at: entries[id]?.record.state == .running ? record.endAt : now)
            return "sandbox \(id) was not brought back: \(error)"
        }
    }

    private func adopt(_ id: String, _ found: SandboxRecord, _ enforcement: NetworkEnforcement) async throws {
        guard let record = entries[id]?.record else { return }
        let sandbox = try await sandbox(id)
        if enforcement == .filtered {
            let wish = try NetworkWish(
                allowsInternet: record.allowsInternet, settings: record.networkSettings, enforcement: enforcement)
            // A change of the network may have been written and not made.
            if let access = wish.access {
                try await within("opening the network of sandbox \(id)") { try await sandbox.permit(access) }
            }
        }
        switch (record.state, found.isPaused) {
        case (.paused, false): try await within("pausing sandbox \(id)") { try await sandbox.pause() }
        case (.running, true):
            // Nobody asked for a pause: what stands still without a word goes on.
            try await within("resuming sandbox \(id)") { try await sandbox.resume() }
        case (.pausing, _) where record.pauseMode == .filesystem: try await revert(id)
        case (.pausing, true): try write(id, event: .paused, data: execution(record), paused)
        case (.pausing, false):
            try write(id) {
                $0.state = .running
                $0.pauseMode = nil
            }
        case (.resuming, true): try write(id) { $0.state = .paused }
        case (.resuming, false): try write(id, event: .resumed) { resumed(&$0, timeout: record.timeout) }
        default: break
        }
        guard let state = entries[id]?.record.state, state != .ending else { return }
        wheel.set(id, at: state == .running ? entries[id]?.record.endAt : nil)
        note(id, "the server was started again; the sandbox is \(state.rawValue)")
    }
}
