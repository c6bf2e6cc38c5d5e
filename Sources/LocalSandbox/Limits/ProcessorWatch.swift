import DeploymentCore

/// Lets a sandbox that runs into its processor limit yield to its neighbours.
///
/// A limit bounds how much of the processors a sandbox takes, not when: whoever wakes beside it waits until the scheduler's
/// tick, some milliseconds. While it is held back by its limit it therefore runs as idle (`cpu.idle`, Linux 5.15), which
/// everyone else interrupts at once.
enum ProcessorWatch {
    /// The time between two looks.
    static let interval = Duration.milliseconds(250)
    /// In how many of the limit's periods it has to be held back between two looks, so that a burst does not count.
    static let tolerated = 2
    /// Looks without being held back until it is an equal again.
    static let forgiving = 8

    /// What the looks amount to.
    struct Verdict {
        private var seen: Int64?
        private var calm = 0
        private(set) var isYielding: Bool

        init(isYielding: Bool) { self.isYielding = isYielding }

        /// Takes how often it was held back so far; true when the verdict changed.
        mutating func look(_ throttled: Int64) -> Bool {
            defer { seen = throttled }
            guard let seen else { return false }
            calm = throttled > seen ? 0 : calm + 1
            let was = isYielding
            isYielding = was ? calm < forgiving : throttled - seen >= tolerated
            return isYielding != was
        }
    }

    /// Lets a group begin as one that yields, where the kernel can do it.
    static func yield(_ group: SandboxGroup) {
        guard let folder = group.folder(.cpu)?.path, KernelFile.exists("\(folder)/cpu.idle") else { return }
        try? KernelFile.write("1", to: "\(folder)/cpu.idle")
    }

    /// Watches the group until it is gone; at once over where the kernel cannot do it.
    static func run(_ group: SandboxGroup, every interval: Duration = interval) async {
        guard let folder = group.folder(.cpu)?.path, let idle = KernelFile.number("\(folder)/cpu.idle") else { return }
        var verdict = Verdict(isYielding: idle == 1)
        while (try? await Task.sleep(for: interval)) != nil {
            let isThere = try? await Blocking.run { [verdict] () -> Verdict? in
                guard let throttled = KernelFile.number("nr_throttled", in: "\(folder)/cpu.stat") else { return nil }
                var next = verdict
                if next.look(throttled) { try? KernelFile.write(next.isYielding ? "1" : "0", to: "\(folder)/cpu.idle") }
                return next
            }
            guard let next = isThere ?? nil else { return }
            verdict = next
        }
    }
}
