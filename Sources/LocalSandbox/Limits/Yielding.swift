import DeploymentCore

/// Whether a sandbox that runs into its processor limit yields to its neighbours.
///
/// A limit bounds how much of the processors a sandbox takes, not when: whoever wakes beside it waits until the scheduler's
/// tick, some milliseconds. While it is held back by its limit it therefore runs as idle (`cpu.idle`, Linux 5.15), which
/// everyone else interrupts at once.
struct Yielding {
    /// In so many of the limit's periods within `window` it has to be held back, so that a burst does not count.
    static let tolerated = 2
    static let window = Duration.milliseconds(300)
    /// The time without being held back after which it is an equal again.
    static let forgiving = Duration.seconds(2)

    private(set) var isOn: Bool
    private var throttled = RecentGrowth(window: window)
    private var last: ContinuousClock.Instant?

    init(isOn: Bool) { self.isOn = isOn }

    /// Takes how often it was held back so far; true when the verdict changed.
    mutating func look(_ count: Int64, at now: ContinuousClock.Instant) -> Bool {
        if throttled.look(count, at: now) || last == nil { last = now }
        let was = isOn
        isOn = was ? last.map { now - $0 < Self.forgiving } ?? true : throttled.recent >= Self.tolerated
        return isOn != was
    }
}

extension SandboxGroup {
    /// Whether it runs as idle; nil where the kernel cannot do it.
    var isYielding: Bool? { folder(.cpu).flatMap { KernelFile.number("\($0.path)/cpu.idle") }.map { $0 == 1 } }

    /// Lets it run as idle or not, where the kernel can do it.
    func yield(_ isOn: Bool) {
        guard let folder = folder(.cpu)?.path, KernelFile.exists("\(folder)/cpu.idle") else { return }
        try? KernelFile.write(isOn ? "1" : "0", to: "\(folder)/cpu.idle")
    }

    /// In how many periods its processor limit held it back; nil when nobody counts it.
    var throttledPeriods: Int64? {
        folder(.cpu).flatMap { KernelFile.number("nr_throttled", in: "\($0.path)/cpu.stat") }
    }
}
