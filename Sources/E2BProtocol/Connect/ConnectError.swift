import DeploymentCore

/// What a call failed with.
public struct ConnectError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The kind of failure.
    public let code: ConnectCode
    /// What failed, for people.
    public let message: String

    /// Creates an error.
    public init(_ code: ConnectCode, _ message: String) {
        self.code = code
        self.message = message
    }

    /// The code and the message.
    public var description: String { "\(code.rawValue): \(message)" }
}

extension ConnectError {
    /// Reads a Connect error object; an unknown code counts as `unknown`. nil when it is no such object.
    public init?(json: JSONValue) {
        guard let code = json["code"]?.string else { return nil }
        self.init(ConnectCode(rawValue: code) ?? .unknown, json["message"]?.string ?? "")
    }

    /// The error object: `{"code": …, "message": …}`.
    public var json: JSONValue { ["code": .string(code.rawValue), "message": .string(message)] }

    /// Reads the failure of a unary call from its HTTP reply; a body that is no Connect error keeps its `message`,
    /// and a number in its `code` stands for the status.
    public init(httpStatus: Int, body: [UInt8]) {
        let json = try? JSONValue(parsing: body)
        if let json, let error = ConnectError(json: json) {
            self = error
            return
        }
        let status = json?["code"]?.integer.flatMap { Int(exactly: $0) } ?? httpStatus
        self.init(ConnectCode(httpStatus: status), json?["message"]?.string ?? "HTTP status \(httpStatus)")
    }
}
