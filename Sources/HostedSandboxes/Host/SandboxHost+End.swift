import DeploymentCore
import DeploymentStore
import E2BProtocol
import Sandboxes
import Waiting

extension SandboxHost {
    /// Ends a sandbox, running or paused, and removes everything of it.
    ///
    /// Once this returns nothing of it can be reached; what cannot be removed now is tried again until it is gone.
    /// - Throws: 404 when there is none.
    public func kill(_ id: String) async throws {
        try await alone(id) { try await $0.killAlone(id, because: "the sandbox was killed") }
    }

    /// Ends every sandbox; returns what could not be done.
    public func killAll() async -> [String] {
        var failures: [String] = []
        for id in entries.keys.sorted() {
            guard let entry = entries[id] else { continue }
            do {
                try await uncancelled {
                    try await entry.lane.alone {
                        if await self.entries[id]?.record.isVisible ?? false {
                            try await self.killAlone(id, because: "every sandbox was ended")
                        }
                        if await self.entries[id] != nil { try await self.finishEnding(id) }
                    }
                }
            } catch {
                failures.append("sandbox \(id) could not be removed: \(error)")
            }
        }
        return failures
    }

    /// Begins the end, tells those who are connected, then removes the sandbox.
    func killAlone(_ id: String, because reason: String) async throws {
        let record = try visible(id).record
        // An end that was written is carried on by whoever finds it.
        try write(id, event: .killed, data: record.state == .running ? execution(record) : SandboxEventData()) {
            $0.state = .ending
        }
        wheel.set(id, at: nil)
        note(id, reason)
        await endRun(id)
        do {
            try await finishEnding(id)
        } catch {
            surroundings.announce("sandbox \(id) has ended, but is not removed yet: \(error)")
            wheel.set(id, at: now)
        }
    }

    /// Removes a sandbox whose end has begun.
    func finishEnding(_ id: String) async throws {
        let provider = surroundings.provider
        try await within("removing sandbox \(id)") { try await provider.destroy(id) }
        try store.removeHostedSandbox(id)
        if let archive = entries[id]?.record.archive { surroundings.files.remove(archive) }
        entries[id]?.log.remove()
        entries[id]?.history.remove()
        entries[id] = nil
        wheel.set(id, at: nil)
    }

    /// Carries out what is due for a sandbox: its end, its pause, or what failed before.
    ///
    /// - Throws: what keeps it from being done; it is tried again.
    public func expire(_ id: String) async throws {
        guard let lane = entries[id]?.lane else { return }
        try await uncancelled { try await lane.alone { try await self.expireAlone(id) } }
    }

    private func expireAlone(_ id: String) async throws {
        guard let record = entries[id]?.record else { return }
        switch record.state {
        case .creating: return
        case .paused: if record.keptFiles != nil { try await removeRemains(id) }
        case .ending: try await finishEnding(id)
        case .pausing, .resuming: try await revert(id)
        case .running:
            guard record.endAt <= now else {
                wheel.set(id, at: record.endAt)
                return
            }
            if record.pausesOnTimeout {
                try await pauseAlone(id, record.pauseAtEnd)
            } else {
                try await killAlone(id, because: "the sandbox's time was over")
            }
        }
    }
}
