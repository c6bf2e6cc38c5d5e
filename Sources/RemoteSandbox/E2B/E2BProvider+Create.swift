import DeploymentCore
import E2BProtocol
import Sandboxes
import Waiting

extension E2BProvider {
    /// How often a creation is asked for whose answer was lost.
    static let createAttempts = 3
    /// The waits, in milliseconds, after which it is looked again for what a lost creation may have made.
    static let doubtfulWaits: [Int64] = [5_000, 30_000, 120_000]

    /// Makes a sandbox whose agent answers, with the internet in reach until `seal()`.
    ///
    /// A creation whose answer was lost is looked for by its label before it is asked for again. After a failure or a
    /// cancellation it is looked for once more, now and later, and removed; nobody extends its time meanwhile.
    public func create(_ specification: SandboxSpecification) async throws -> any Sandbox {
        try Self.refuse(specification)
        let network = try SandboxNetworkSettings(specification.network)
        let labels = E2BLabels(owner: settings.owner, specification: specification)
        var creation = SandboxCreation(
            template: specification.template ?? settings.template, timeout: settings.timeout,
            metadata: labels.metadata)
        // A token for each sandbox's ports where the service gives one: what a deployment serves is for our gateway.
        creation.network = SandboxNetworkSettings(allowsPublicTraffic: false)
        do {
            let handle = try await made(specification.id, creation)
            let sandbox = make(labels, handle, startedAt: now() / 1_000)
            sandbox.sealing = network
            try await sandbox.repeating { try await sandbox.envd.makeFolder(sandbox.appFolder) }
            hold(sandbox)
            return sandbox
        } catch {
            try? await uncancelled { try await self.destroy(specification.id) }
            if (error as? BerthError)?.leavesDoubt ?? true { doubt(specification.id) }
            throw error
        }
    }

    /// What E2B cannot enforce is refused, not ignored.
    private static func refuse(_ specification: SandboxSpecification) throws {
        guard specification.mounts.isEmpty, specification.volumes.isEmpty else {
            throw BerthError(.sandbox, "nothing of this machine can be shown in a sandbox of E2B")
        }
        guard specification.limits.demanded.isEmpty else {
            let names = specification.limits.demanded.map(\.rawValue).joined(separator: ", ")
            throw BerthError(
                .sandbox, "resources: \(names) cannot be limited by Berth in a sandbox of E2B",
                suggestion: "leave resources out, and choose a template of the size that is wanted")
        }
    }

    private func made(_ id: String, _ creation: SandboxCreation) async throws -> SandboxHandle {
        var attempt = 0
        while true {
            do {
                return try await client.create(creation, key: id)
            } catch let error as BerthError where error.leavesDoubt {
                doubt(id)
                try Task.checkCancellation()
                if let found = try await find(id).first {
                    return try await client.connect(found.handle.sandbox, timeout: settings.timeout)
                }
                attempt += 1
                guard attempt < Self.createAttempts else { throw error }
                try await clock.pause(for: E2BRetry.backOff(attempt, 1))
            }
        }
    }

    /// Ends a sandbox, every one that carries this id.
    ///
    /// What cannot be ended now is ended once the service answers again, as long as `run()` runs; the error is thrown all
    /// the same.
    public func destroy(_ id: String) async throws {
        let known = sandboxes.withLock { $0.removeValue(forKey: id) }
        times.set(Self.life(id), at: nil)
        await known?.close()
        do {
            if let known {
                try await client.kill(known.handle.sandbox)
            } else {
                for found in try await find(id) { try await client.kill(found.handle.sandbox) }
            }
        } catch {
            times.set(Self.debt(id), at: now())
            throw error
        }
    }

    /// Looks later again for what a creation may have made whose answer was lost.
    func doubt(_ id: String) {
        guard times.time(of: Self.doubt(id, 0)) == nil else { return }
        for (index, wait) in Self.doubtfulWaits.enumerated() { times.set(Self.doubt(id, index), at: now() + wait) }
    }

    /// Ends what a lost creation has made beside the sandbox that is in use, if there is one.
    func sweep(_ id: String) async throws {
        let known = sandboxes.withLock { $0[id] }
        for found in try await find(id) where found.handle.sandbox != known?.handle.sandbox {
            try await client.kill(found.handle.sandbox)
        }
    }
}
