import DeploymentCore

extension SandboxCapabilities {
    /// Refuses sandboxes in which nobody can be root.
    ///
    /// - Throws: `sandbox`, saying how to get what is missing.
    public func requireIdentities() throws {
        guard !ownsIdentities else { return }
        throw BerthError(
            .sandbox, "the manifest demands sudo, but sandboxes here have one user",
            suggestion: "`berth doctor` says what keeps sandboxes from having ids of their own")
    }
}

extension Isolation {
    /// Refuses less than what is demanded; nothing is ever downgraded in silence.
    ///
    /// - Throws: `sandbox`, saying how to get what is missing.
    public func require(_ minimum: Isolation?) throws {
        guard let minimum, self < minimum else { return }
        throw BerthError(
            .sandbox, "the manifest demands isolation \(minimum.rawValue) at least, but sandboxes here get \(rawValue)",
            suggestion: "`berth doctor` says what keeps \(minimum.rawValue) from working on this machine; a control "
                + "plane that was started with BERTH_ISOLATION gives no more than that")
    }
}
