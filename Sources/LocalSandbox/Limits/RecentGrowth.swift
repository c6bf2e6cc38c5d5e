/// How much a counter of the kernel grew within the last while.
struct RecentGrowth {
    private let window: Duration
    private var seen: Int64?
    private var steps: [(time: ContinuousClock.Instant, growth: Int64)] = []

    init(window: Duration) { self.window = window }

    /// The growth within the window, as of the last look.
    var recent: Int64 { steps.reduce(0) { $0 + $1.growth } }

    /// Takes the counter; true when it grew. What was before the first look nobody knows.
    mutating func look(_ count: Int64, at now: ContinuousClock.Instant) -> Bool {
        let growth = count - (seen ?? count)
        seen = count
        steps.removeAll { now - $0.time > window }
        guard growth > 0 else { return false }
        steps.append((now, growth))
        return true
    }
}
