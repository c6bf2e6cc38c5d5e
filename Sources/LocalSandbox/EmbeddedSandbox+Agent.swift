import Sandboxes

extension EmbeddedSandbox {
    /// The agent inside.
    public var agent: EnvdClient? { envd }
}
