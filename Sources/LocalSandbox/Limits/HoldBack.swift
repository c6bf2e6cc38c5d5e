/// Next to nothing of the processors for a while, for a sandbox that runs into its limits again and again.
///
/// A limit at work is no offence. But who starts again each time what was killed for memory, or fills a disk faster than it
/// can be measured, lets the kernel fill and empty the whole limit over and over, and on a kernel that does not interrupt
/// itself everyone else waits. It is held back twice as long each time, as what crashes is restarted later each time.
struct HoldBack {
    /// What is left to it, in cores: the least that the kernel grants.
    static let share = 0.01
    /// So many kills for memory within `window` are an offence; one is, for whom it is not the first.
    static let tolerated: Int64 = 3
    static let window = Duration.seconds(10)
    /// How long the first offender is held back, and anyone at most.
    static let first = Duration.seconds(2)
    static let longest = Duration.seconds(60)
    /// The time after it without an offence until it is forgotten.
    static let forgiving = Duration.seconds(60)

    private var kills = RecentGrowth(window: window)
    private var length: Duration?
    private var end: ContinuousClock.Instant?
    private(set) var isOn = false

    /// Takes how often the kernel killed for memory so far, and whether the disk fills faster than it can be measured; true
    /// when the verdict changed.
    mutating func look(kills count: Int64, isRacing: Bool, at now: ContinuousClock.Instant) -> Bool {
        let isKilled = kills.look(count, at: now)
        if isOn {
            isOn = end.map { now < $0 } ?? false
            return !isOn
        }
        if let end, now - end >= Self.forgiving { length = nil }
        guard isRacing || isKilled && (length != nil || kills.recent >= Self.tolerated) else { return false }
        let next = length.map { min($0 * 2, Self.longest) } ?? Self.first
        length = next
        end = now + next
        isOn = true
        return true
    }
}
