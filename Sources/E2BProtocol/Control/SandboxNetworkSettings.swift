import DeploymentCore

/// What a sandbox may reach, and who may reach its ports (protocol note 1.5).
public struct SandboxNetworkSettings: WireMessage, Equatable {
    /// Whether its ports can be reached without a token; nil is yes.
    public var allowsPublicTraffic: Bool?
    /// What it may reach: addresses, ranges, names, `*.name`. Allowing beats denying.
    public var allowed: [String]
    /// What it may not reach: addresses and ranges.
    public var denied: [String]
    /// The `Host` that its ports see; may contain `${PORT}`.
    public var maskedHost: String?
    /// Whether it may reach the internet, which only an update says here.
    public var allowsInternet: Bool?
    /// Fields that are not offered here: `egressProxy`, `rules`, `dnsServers`, `httpsPorts`.
    public var extras: Set<String>

    /// Creates settings.
    public init(
        allowsPublicTraffic: Bool? = nil, allowed: [String] = [], denied: [String] = [], maskedHost: String? = nil,
        allowsInternet: Bool? = nil
    ) {
        self.allowsPublicTraffic = allowsPublicTraffic
        self.allowed = allowed
        self.denied = denied
        self.maskedHost = maskedHost
        self.allowsInternet = allowsInternet
        extras = []
    }

    /// Reads the message.
    public init(json: JSONValue) throws(ConnectError) {
        let reader = try MessageReader(json, "network")
        allowsPublicTraffic = try reader.optionalBool("allowPublicTraffic")
        allowed = try reader.strings("allowOut")
        denied = try reader.strings("denyOut")
        maskedHost = try reader.optionalString("maskRequestHost")
        allowsInternet = try reader.optionalBool("allowInternetAccess")
        extras = Set(["egressProxy", "rules", "dnsServers", "httpsPorts"].filter { reader.value($0) != nil })
    }

    /// The message as JSON.
    public var json: JSONValue {
        var members: [String: JSONValue] = [:]
        if let allowsPublicTraffic { members["allowPublicTraffic"] = .bool(allowsPublicTraffic) }
        if !allowed.isEmpty { members["allowOut"] = .array(allowed.map { .string($0) }) }
        if !denied.isEmpty { members["denyOut"] = .array(denied.map { .string($0) }) }
        if let maskedHost { members["maskRequestHost"] = .string(maskedHost) }
        if let allowsInternet { members["allow_internet_access"] = .bool(allowsInternet) }
        return .object(members)
    }
}
