import DeploymentCore
import Glibc
import Sandboxes

/// Measures the home folders of sandboxes with a disk limit, and kills the app of one that is over it.
///
/// A quota would be the kernel's work, but needs a file system mounted with it, or a right to mount.
enum DiskWatch {
    /// The shortest time between two measurements of one sandbox.
    static let interval = Duration.milliseconds(500)
    /// How many times as long as a measurement took the next one waits at least.
    static let rest = 20
    /// The most files and folders of a sandbox with a disk limit.
    static let maximumEntries = 1_000_000

    /// Measures again and again.
    static func run(_ processes: SandboxProcesses, _ limit: Int64, _ vitals: Vitals) async {
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
