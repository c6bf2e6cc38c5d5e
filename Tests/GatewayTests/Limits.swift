@testable import Gateway

extension GatewayLimits {
    /// The defaults, looked at often, so that tests of timeouts are short.
    static var quick: GatewayLimits {
        var limits = GatewayLimits()
        limits.tick = .milliseconds(10)
        return limits
    }
}
