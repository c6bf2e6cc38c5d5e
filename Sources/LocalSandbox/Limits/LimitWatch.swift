import DeploymentCore
import Sandboxes

/// What is done about the limits of one sandbox beyond what the kernel does: the looks at it, and what follows from them.
struct LimitWatch {
    /// The time between two looks at a sandbox that works or has to yield, and at one that does not.
    static let busyInterval = Duration.milliseconds(50)
    static let interval = Duration.milliseconds(250)
    /// The part of one processor from which it works.
    static let busyShare = 0.05

    private let group: SandboxGroup?
    private let limits: SandboxLimits
    private let vitals: Vitals
    private var disk: DiskWatch?
    private var yielding: Yielding?
    private var holdBack = HoldBack()
    private var used: (seconds: Double, time: ContinuousClock.Instant)?
    private var isBusy = false

    /// Nil when there is nothing to look at.
    init?(_ processes: SandboxProcesses, _ vitals: Vitals) {
        limits = processes.state.limits ?? SandboxLimits()
        group = processes.state.group
        self.vitals = vitals
        disk = limits.disk.map { DiskWatch(processes, limit: $0) }
        if limits.cpu != nil { yielding = group?.isYielding.map { Yielding(isOn: $0) } }
        guard disk != nil || yielding != nil || limits.memory != nil && group?.memoryKills != nil else { return nil }
        // An earlier control plane may have held it back.
        try? group?.limitProcessor(to: limits.cpu)
    }

    /// Looks again and again, until the sandbox is gone.
    func run() async {
        var watch = self
        while (try? await Task.sleep(for: watch.isBusy ? Self.busyInterval : Self.interval)) != nil {
            let next = try? await Blocking.run { [watch] () -> LimitWatch? in
                var next = watch
                return next.look() ? next : nil
            }
            guard let next = next ?? nil else { return }
            watch = next
        }
    }

    /// False when there is nothing to look at any more.
    private mutating func look() -> Bool {
        let vitals = vitals
        if let group, !group.isThere { return false }
        guard !vitals.isPaused else {
            isBusy = false
            return true
        }
        let now = ContinuousClock.now
        isBusy = works(at: now) || yielding?.isOn ?? false
        let isRacing = disk?.look(at: now, vitals) ?? false
        guard let group, group.folder(.cpu) != nil else { return true }
        if let count = group.throttledPeriods, yielding?.look(count, at: now) == true {
            group.yield(yielding?.isOn ?? false)
        }
        if holdBack.look(kills: Int64(group.memoryKills ?? 0), isRacing: isRacing, at: now) {
            try? group.limitProcessor(to: holdBack.isOn ? HoldBack.share : limits.cpu)
            vitals.holdBack(holdBack.isOn)
            // Whoever has just been let go may begin again at once.
            isBusy = true
        }
        return true
    }

    /// Whether it worked since the last look; without a group nobody knows.
    private mutating func works(at now: ContinuousClock.Instant) -> Bool {
        guard let seconds = group?.cpuSeconds else { return false }
        defer { used = (seconds, now) }
        guard let used else { return false }
        return seconds - used.seconds > (now - used.time) / .seconds(1) * Self.busyShare
    }
}
