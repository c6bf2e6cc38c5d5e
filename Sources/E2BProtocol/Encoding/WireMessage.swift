import DeploymentCore

/// A message of envd's services in its JSON form (proto3 JSON mapping: default values may be left out).
public protocol WireMessage: Sendable {
    /// Reads the message; unknown fields are ignored.
    ///
    /// - Throws: `invalid_argument` for a field of the wrong kind and for a missing required one.
    init(json: JSONValue) throws(ConnectError)
    /// The message as JSON, default values left out.
    var json: JSONValue { get }
}

/// A message without fields.
public struct EmptyMessage: WireMessage, Equatable {
    /// Creates the message.
    public init() {}
    /// Accepts any object.
    public init(json: JSONValue) throws(ConnectError) { _ = try MessageReader(json, "request") }
    /// `{}`.
    public var json: JSONValue { .object([:]) }
}
