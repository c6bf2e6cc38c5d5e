import SandboxGateway

extension SandboxGatewayLimits {
    /// The defaults, with those waits short that a test would only wait for.
    static var quick: SandboxGatewayLimits {
        var limits = SandboxGatewayLimits()
        limits.refusedPortWaits = [0, 1, 1, 1, 1].map { .milliseconds($0) }
        limits.lingering = .milliseconds(200)
        return limits
    }
}
