import DeploymentCore
import E2BProtocol
import Sandboxes
import Waiting

extension E2BProvider {
    /// What part of its time a sandbox lives before it is extended.
    static let extensionPart: Int64 = 3

    static func life(_ id: String) -> String { "life:\(id)" }
    static func doubt(_ id: String, _ index: Int) -> String { "doubt\(index):\(id)" }
    static func debt(_ id: String) -> String { "debt:\(id)" }

    /// Keeps the sandboxes alive, looks for doubtful ones, and ends those that could not be ended, until the task is
    /// cancelled.
    ///
    /// Whoever ends without it leaves sandboxes that end by themselves within their timeout.
    public func run() async {
        await times.run { key in
            let id = String(key[key.index(after: key.firstIndex(of: ":") ?? key.startIndex)...])
            if key == Self.life(id) { try await self.extend(id) } else { try await self.sweep(id) }
        }
    }

    /// Ends every connection into sandboxes; they go on for the next control plane.
    public func close() async {
        let held = sandboxes.withLock { sandboxes in
            defer { sandboxes = [:] }
            return Array(sandboxes.values)
        }
        for sandbox in held { await sandbox.close() }
    }

    /// Extends the time of a sandbox from now on, again and again.
    func hold(_ sandbox: E2BSandbox) {
        sandboxes.withLock { $0[sandbox.id] = sandbox }
        schedule(sandbox.id)
    }

    private func schedule(_ id: String) {
        times.set(Self.life(id), at: now() + settings.timeout * 1_000 / Self.extensionPart)
    }

    private func extend(_ id: String) async throws {
        guard let sandbox = sandboxes.withLock({ $0[id] }) else { return }
        // A paused one does not end by itself; resuming sets its time anew.
        if !sandbox.isPaused {
            do {
                try await client.setTimeout(of: sandbox.handle.sandbox, to: settings.timeout)
            } catch let error as BerthError where error.code == .notFound {
                announce("sandbox \(id) of E2B (\(sandbox.handle.sandbox)) has ended before its time")
                return await sandbox.vanish()
            } catch let error as BerthError where (error.cause as? E2BRefusal)?.status == 400 {
                announce("sandbox \(id) of E2B cannot be extended and will be replaced when it ends: \(error)")
                return
            }
        }
        guard sandboxes.withLock({ $0[id] }) === sandbox else { return }
        schedule(id)
    }
}
