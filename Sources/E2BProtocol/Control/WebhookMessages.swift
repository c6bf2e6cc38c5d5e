import DeploymentCore

/// The body of `POST /events/webhooks` (protocol note 5.1).
public struct WebhookCreation: WireMessage, Equatable {
    /// What people call it.
    public var name: String
    /// Where events are sent.
    public var url: String
    /// Whether anything is sent.
    public var isEnabled: Bool
    /// The types of events, as `sandbox.lifecycle.created`.
    public var events: [String]
    /// What deliveries are signed with.
    public var secret: String

    /// Creates a request.
    public init(name: String, url: String, isEnabled: Bool = true, events: [String], secret: String) {
        self.name = name
        self.url = url
        self.isEnabled = isEnabled
        self.events = events
        self.secret = secret
    }

    /// Reads the message; what is missing is empty, for who checks it to refuse.
    public init(json: JSONValue) throws(ConnectError) {
        let reader = try MessageReader(json, "webhook")
        name = try reader.string("name")
        url = try reader.string("url")
        isEnabled = try reader.optionalBool("enabled") ?? true
        events = try reader.strings("events")
        secret = try reader.string("signatureSecret")
    }

    /// The message as JSON.
    public var json: JSONValue {
        [
            "name": .string(name), "url": .string(url), "enabled": .bool(isEnabled),
            "events": .array(events.map { .string($0) }), "signatureSecret": .string(secret),
        ]
    }
}

/// The body of `PATCH /events/webhooks/{id}`: what is nil stays.
public struct WebhookChange: WireMessage, Equatable {
    /// What people call it.
    public var name: String?
    /// Where events are sent.
    public var url: String?
    /// Whether anything is sent.
    public var isEnabled: Bool?
    /// The types of events.
    public var events: [String]?
    /// What deliveries are signed with.
    public var secret: String?

    /// Creates a request.
    public init(
        name: String? = nil, url: String? = nil, isEnabled: Bool? = nil, events: [String]? = nil,
        secret: String? = nil
    ) {
        self.name = name
        self.url = url
        self.isEnabled = isEnabled
        self.events = events
        self.secret = secret
    }

    /// Reads the message.
    public init(json: JSONValue) throws(ConnectError) {
        let reader = try MessageReader(json, "webhook")
        name = try reader.optionalString("name")
        url = try reader.optionalString("url")
        isEnabled = try reader.optionalBool("enabled")
        events = reader.value("events") == nil ? nil : try reader.strings("events")
        secret = try reader.optionalString("signatureSecret")
    }

    /// The message as JSON.
    public var json: JSONValue {
        var members: [String: JSONValue] = [:]
        if let name { members["name"] = .string(name) }
        if let url { members["url"] = .string(url) }
        if let isEnabled { members["enabled"] = .bool(isEnabled) }
        if let events { members["events"] = .array(events.map { .string($0) }) }
        if let secret { members["signatureSecret"] = .string(secret) }
        return .object(members)
    }
}

/// A webhook as the control plane tells of it: never with its secret.
public struct WebhookDescription: WireMessage, Equatable {
    /// The id, a UUID.
    public var id: String
    /// The id of the team that it belongs to.
    public var team: String
    /// What people call it.
    public var name: String
    /// When it was made.
    public var createdAt: Timestamp
    /// Whether anything is sent.
    public var isEnabled: Bool
    /// Where events are sent.
    public var url: String
    /// The types of events.
    public var events: [String]

    /// Creates a description.
    public init(
        id: String, team: String, name: String, createdAt: Timestamp, isEnabled: Bool, url: String, events: [String]
    ) {
        self.id = id
        self.team = team
        self.name = name
        self.createdAt = createdAt
        self.isEnabled = isEnabled
        self.url = url
        self.events = events
    }

    /// Reads the message.
    public init(json: JSONValue) throws(ConnectError) {
        let reader = try MessageReader(json, "webhook")
        id = try reader.text("id")
        team = try reader.string("teamId")
        name = try reader.string("name")
        createdAt = try reader.time("createdAt")
        isEnabled = try reader.bool("enabled")
        url = try reader.text("url")
        events = try reader.strings("events")
    }

    /// The message as JSON.
    public var json: JSONValue {
        [
            "id": .string(id), "teamId": .string(team), "name": .string(name), "createdAt": .string(createdAt.text),
            "enabled": .bool(isEnabled), "url": .string(url), "events": .array(events.map { .string($0) }),
        ]
    }
}
