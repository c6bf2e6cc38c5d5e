import DeploymentCore
import Glibc
import Sandboxes

/// Measures the home folders of sandboxes with a disk limit, and kills the app of one that is over it.
///
/// A quota would be the kernel's work, but needs a file system mounted with it, or a right to mount.
final class DiskWatch: Sendable {
    /// The shortest time between two measurements of one sandbox.
    static let interval = Duration.milliseconds(500)
    /// How many times as long as a measurement took the next one waits at least.
    static let rest = 20
    /// The most files and folders of a sandbox with a disk limit.
    static let maximumEntries = 1_000_000

    private let tasks = Locked<[String: Task<Void, Never>]>([:])

    deinit { tasks.withLock { $0.values.forEach { $0.cancel() } } }

    /// Begins to watch; a sandbox that is watched already stays so.
    func start(_ processes: SandboxProcesses, limit: Int64, vitals: Vitals) {
        tasks.withLock { tasks in
            guard tasks[processes.state.id] == nil else { return }
            tasks[processes.state.id] = Task { await Self.run(processes, limit, vitals) }
        }
    }

    /// Ends the watch and waits until nothing is measured any more.
    func stop(_ id: String) async {
        let task = tasks.withLock { $0.removeValue(forKey: id) }
        task?.cancel()
        await task?.value
    }

    private static func run(_ processes: SandboxProcesses, _ limit: Int64, _ vitals: Vitals) async {
        var pause = interval
        while (try? await Task.sleep(for: pause)) != nil {
            if vitals.isPaused { continue }
            let start = ContinuousClock.now
            let isOver = try? await Blocking.run { measure(processes, limit, vitals) }
            guard isOver != nil, !Task.isCancelled else { return }
            pause = max(interval, (ContinuousClock.now - start) * rest)
        }
    }

    /// Measures once, and kills when it is too much.
    @discardableResult
    static func measure(_ processes: SandboxProcesses, _ limit: Int64, _ vitals: Vitals) -> Bool {
        let home = processes.folder.home
        let usage = DiskUsage.measure(home, maximumEntries: maximumEntries)
        let nameless = DiskUsage.nameless(heldBy: processes.all, like: home)
        let hasTooMany = usage.entries >= maximumEntries
        guard usage.bytes + nameless > limit || hasTooMany else { return false }
        let reason =
            hasTooMany
            ? "over \(maximumEntries) files" : "over its disk limit of \(SizeWords.text(limit))"
        vitals.note(ExceededLimit(resource: .disk, description: "the app was killed: \(reason)"))
        // Its first process was not yet known when the watch began.
        let state = (try? processes.folder.state()) ?? processes.state
        SandboxProcesses(folder: processes.folder, state: state).killApp()
        return true
    }
}
