import DeploymentCore

/// What a client needs to use a sandbox: the answer to create, connect, resume and fork (protocol note 1.6).
public struct SandboxHandle: WireMessage, Equatable {
    /// The client id that every sandbox has; deprecated, but its absence breaks clients.
    public static let clientID = "6532622b"
    /// What our agent implements of envd; clients switch features by it.
    public static let agentVersion = "0.6.13"

    /// The sandbox's id.
    public var sandbox: String
    /// The template it was made from.
    public var template: String
    /// The template's name.
    public var alias: String?
    /// The version of the agent inside.
    public var agentVersion: String
    /// What the agent wants in `X-Access-Token`; nil where it wants none.
    public var agentToken: String?
    /// What its ports want in `E2b-Traffic-Access-Token`; nil where they are open.
    public var trafficToken: String?
    /// The domain of its hosts; nil leaves it to the client.
    public var domain: String?

    /// Creates a handle.
    public init(
        sandbox: String, template: String, alias: String? = nil, agentVersion: String = SandboxHandle.agentVersion,
        agentToken: String? = nil, trafficToken: String? = nil, domain: String? = nil
    ) {
        self.sandbox = sandbox
        self.template = template
        self.alias = alias
        self.agentVersion = agentVersion
        self.agentToken = agentToken
        self.trafficToken = trafficToken
        self.domain = domain
    }

    /// Reads the message.
    public init(json: JSONValue) throws(ConnectError) {
        let reader = try MessageReader(json, "sandbox")
        sandbox = try reader.text("sandboxID")
        template = try reader.text("templateID")
        alias = try reader.optionalString("alias")
        agentVersion = try reader.text("envdVersion")
        agentToken = try reader.optionalString("envdAccessToken")
        trafficToken = try reader.optionalString("trafficAccessToken")
        domain = try reader.optionalString("domain")
    }

    /// The message as JSON.
    public var json: JSONValue {
        var members: [String: JSONValue] = [
            "sandboxID": .string(sandbox), "templateID": .string(template), "clientID": .string(Self.clientID),
            "envdVersion": .string(agentVersion), "domain": domain.map { .string($0) } ?? .null,
        ]
        if let alias { members["alias"] = .string(alias) }
        if let agentToken { members["envdAccessToken"] = .string(agentToken) }
        if let trafficToken { members["trafficAccessToken"] = .string(trafficToken) }
        return .object(members)
    }
}
