import DeploymentCore

/// The watches of the sandboxes that live: tasks that end with them.
final class SandboxWatches: Sendable {
    private let tasks = Locked<[String: Task<Void, Never>]>([:])

    deinit { tasks.withLock { $0.values.forEach { $0.cancel() } } }

    /// Begins to watch a sandbox; one that is watched already stays so.
    func start(_ id: String, _ watch: @autoclosure () -> LimitWatch?) {
        tasks.withLock { tasks in
            guard tasks[id] == nil, let watch = watch() else { return }
            tasks[id] = Task { await watch.run() }
        }
    }

    /// Ends the watch of a sandbox and waits until it has.
    func stop(_ id: String) async {
        let task = tasks.withLock { $0.removeValue(forKey: id) }
        task?.cancel()
        await task?.value
    }
}
