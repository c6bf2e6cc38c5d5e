import DeploymentCore

/// One envelope of a Connect stream: a flag byte, the payload's length in four bytes, big-endian, and the payload.
public enum ConnectFrame: Sendable, Equatable {
    /// A message.
    case message(JSONValue)
    /// The end of the stream, and why when it failed. A stream without it is broken.
    case end(ConnectError?)

    /// Bytes before each payload.
    public static let headerLength = 5
    /// The longest payload that a decoder accepts unless told otherwise, in bytes.
    public static let defaultPayloadLimit = 4 << 20
    static let compressedFlag: UInt8 = 1
    static let endFlag: UInt8 = 2

    /// The envelope as bytes.
    public func encoded() -> [UInt8] {
        switch self {
        case .message(let message): Self.envelope(flags: 0, message.encoded())
        case .end(nil): Self.envelope(flags: Self.endFlag, Array("{}".utf8))
        case .end(let error?): Self.envelope(flags: Self.endFlag, JSONValue.object(["error": error.json]).encoded())
        }
    }

    /// Wraps a payload.
    static func envelope(flags: UInt8, _ payload: [UInt8]) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(headerLength + payload.count)
        bytes.append(flags)
        appendLength(payload.count, to: &bytes)
        bytes += payload
        return bytes
    }

    static func appendLength(_ length: Int, to bytes: inout [UInt8]) {
        for shift in [24, 16, 8, 0] { bytes.append(UInt8(truncatingIfNeeded: length >> shift)) }
    }
}

/// Wraps a message in its envelope; the same as `ConnectFrame.message(message).encoded()`.
public func connectFrame(_ message: JSONValue) -> [UInt8] { ConnectFrame.message(message).encoded() }
