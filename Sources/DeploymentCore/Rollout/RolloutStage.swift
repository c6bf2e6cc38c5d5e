/// The stages of a rollout, in their order. Each is journalled, has a deadline and can be undone.
public enum RolloutStage: String, Sendable, Codable, CaseIterable, Comparable {
    /// Fetch and verify the model files.
    case artifacts
    /// Build or reuse the installed dependencies.
    case environment
    /// Render the app and assemble the bundle.
    case render
    /// Create the sandbox.
    case sandbox
    /// Write the bundle into the sandbox.
    case upload
    /// Start the process.
    case start
    /// Wait for evidence of health.
    case health
    /// Run the smoke predictions.
    case smoke
    /// Move traffic.
    case expose

    /// The order of the path.
    public static func < (left: RolloutStage, right: RolloutStage) -> Bool { left.position < right.position }

    private var position: Int { Self.allCases.firstIndex(of: self) ?? 0 }
}
