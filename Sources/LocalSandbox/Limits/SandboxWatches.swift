import DeploymentCore

/// What is watched of sandboxes while they live: tasks that end with them.
final class SandboxWatches: Sendable {
    /// A watch: goes on until its task is cancelled or there is nothing to see any more.
    typealias Watch = @Sendable () async -> Void

    private let tasks = Locked<[String: [Task<Void, Never>]]>([:])

    deinit { tasks.withLock { $0.values.joined().forEach { $0.cancel() } } }

    /// Begins to watch a sandbox; one that is watched already stays so.
    func start(_ id: String, _ watches: [Watch]) {
        tasks.withLock { tasks in
            guard tasks[id] == nil, !watches.isEmpty else { return }
            tasks[id] = watches.map { watch in Task { await watch() } }
        }
    }

    /// Ends its watches and waits until they have.
    func stop(_ id: String) async {
        let tasks = tasks.withLock { $0.removeValue(forKey: id) } ?? []
        tasks.forEach { $0.cancel() }
        for task in tasks { await task.value }
    }
}
