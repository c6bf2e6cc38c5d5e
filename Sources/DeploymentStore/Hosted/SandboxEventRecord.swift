import DeploymentCore

/// What happened in the life of a hosted sandbox: written in the transaction of the change that it tells.
public struct SandboxEventRecord: Codable, Sendable, Equatable {
    /// A UUID, by which receivers know what they have seen.
    public var id: String
    /// The sandbox's id.
    public var sandbox: String
    /// What happened.
    public var kind: Kind
    /// The run of the sandbox that it belongs to.
    public var execution: String
    /// The template that the sandbox was made from.
    public var template: String
    /// The template's build.
    public var build: String
    /// More, as JSON.
    public var data: String
    /// When, in milliseconds since 1970.
    public var time: Int64

    /// What can happen.
    public enum Kind: String, Codable, Sendable, CaseIterable {
        case created, updated, paused, resumed, killed, checkpointed
    }

    /// Creates a record.
    public init(
        id: String, sandbox: String, kind: Kind, execution: String, template: String, build: String, data: String,
        time: Int64
    ) {
        self.id = id
        self.sandbox = sandbox
        self.kind = kind
        self.execution = execution
        self.template = template
        self.build = build
        self.data = data
        self.time = time
    }
}
