import DeploymentCore
import Glibc
import Sandboxes

/// Measures the home folder of a sandbox with a disk limit, and kills the app of one that is over it.
///
/// A quota would be the kernel's work, but needs a file system mounted with it, or a right to mount.
struct DiskWatch {
    /// The longest time between two measurements. One is due earlier when the file system has lost a part of what was left
    /// to the sandbox, whoever took it, since the last one or since the last look: a file may have been emptied meanwhile.
    static let interval = Duration.milliseconds(500)
    static let lostPart: Int64 = 4
    /// How many times as long as a measurement took the next one waits at least.
    static let rest = 20
    /// The most files and folders of a sandbox with a disk limit.
    static let maximumEntries = 1_000_000

    let processes: SandboxProcesses
    let limit: Int64

    private var last: (bytes: Int64, free: Int64, time: ContinuousClock.Instant)?
    private var due: ContinuousClock.Instant?
    /// What was free at the last look.
    private var free: Int64?
    /// What was there at the last kill, and has not become more since: whoever tidies up is let do so.
    private var killed: Int64?

    init(_ processes: SandboxProcesses, limit: Int64) {
        self.processes = processes
        self.limit = limit
    }

    /// Measures when it is time to, and kills when it is too much; true when, at the speed at which it fills, it is full
    /// before the next look.
    mutating func look(at now: ContinuousClock.Instant, _ vitals: Vitals) -> Bool {
        if let due, now < due { return false }
        let before = free
        let free = DiskUsage.free(processes.folder.home)
        self.free = free
        if let last, now - last.time < Self.interval,
            !Self.hasLost(from: [last.free, before], to: free, left: limit - last.bytes)
        {
            return false
        }
        let bytes = measure(vitals)
        due = now + (.now - now) * Self.rest
        defer { last = (bytes, free, now) }
        guard let last else { return false }
        return Self.isRacing(from: last.bytes, to: bytes, of: limit, within: now - last.time)
    }

    /// Whether the file system has lost, since any of some moments, a part of what is left to the sandbox.
    static func hasLost(from before: [Int64?], to free: Int64, left: Int64) -> Bool {
        before.contains { $0.map { $0 - free >= left / lostPart } ?? false }
    }

    /// Whether what grew so far within `elapsed` grows beyond the limit within the time between two looks at one who is busy.
    static func isRacing(from before: Int64, to bytes: Int64, of limit: Int64, within elapsed: Duration) -> Bool {
        let looks = elapsed / LimitWatch.busyInterval
        return bytes > before && looks > 0 && Double(bytes) + Double(bytes - before) / looks > Double(limit)
    }

    /// Measures once, and kills when it is too much; the bytes that it takes.
    private mutating func measure(_ vitals: Vitals) -> Int64 {
        let home = processes.folder.home
        let usage = DiskUsage.measure(home, maximumEntries: Self.maximumEntries)
        let bytes = usage.bytes + DiskUsage.nameless(heldBy: processes.all, like: home)
        let hasTooMany = usage.entries >= Self.maximumEntries
        let isMore = Self.isMore(bytes, than: limit, &killed)
        guard isMore || hasTooMany else { return bytes }
        let reason =
            hasTooMany
            ? "over \(Self.maximumEntries) files" : "over its disk limit of \(SizeWords.text(limit))"
        vitals.note(ExceededLimit(resource: .disk, description: "the app was killed: \(reason)"))
        // Its first process was not yet known when the watch began.
        let state = (try? processes.folder.state()) ?? processes.state
        SandboxProcesses(folder: processes.folder, state: state).killApp()
        return bytes
    }

    /// Whether it is over the limit, and more than at the last kill or the least since.
    static func isMore(_ bytes: Int64, than limit: Int64, _ killed: inout Int64?) -> Bool {
        guard bytes > limit else {
            killed = nil
            return false
        }
        defer { killed = bytes }
        return killed.map { bytes > $0 } ?? true
    }
}
