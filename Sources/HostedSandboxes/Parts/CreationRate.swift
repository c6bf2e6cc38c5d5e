import DeploymentCore
import E2BProtocol

/// How many creations there may be: so many at once, and so many in a second.
struct CreationRate {
    private let perSecond: Int
    private var credit: Double
    private var time: Int64

    init(perSecond: Int, now: Int64) {
        self.perSecond = perSecond
        credit = Double(perSecond)
        time = now
    }

    /// Takes one, at a time in milliseconds.
    ///
    /// - Throws: 429 with the second at which there is one again.
    mutating func take(now: Int64) throws(ControlFailure) {
        let passed = Double(max(0, now - time)) / 1_000
        credit = min(Double(perSecond), credit + passed * Double(perSecond))
        time = now
        guard credit >= 1 else {
            let wait = max(1, Int(((1 - credit) / Double(perSecond)).rounded(.up)))
            throw ControlFailure(
                429, "you have reached the limit of \(perSecond) sandbox creations per second", retryAfter: wait,
                shouldRetry: true, rate: ControlFailure.Rate(limit: perSecond, remaining: 0, reset: wait))
        }
        credit -= 1
    }
}
