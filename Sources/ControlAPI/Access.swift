import DeploymentCore

/// What a client needs to know to act inside a deployment's sandbox, through `/v1/deployments/{name}/agent/`.
public struct AccessResource: Codable, Sendable, Equatable {
    /// The sandbox.
    public var sandbox: String
    /// How far it is isolated.
    public var isolation: Isolation
    /// The app's folder inside; absolute.
    public var folder: String
    /// The variables that the app runs with.
    public var environment: [String: String]

    /// Creates a resource.
    public init(sandbox: String, isolation: Isolation, folder: String, environment: [String: String]) {
        self.sandbox = sandbox
        self.isolation = isolation
        self.folder = folder
        self.environment = environment
    }
}
