import DeploymentCore

/// Takes a Connect stream apart, in whatever pieces it arrives.
public struct ConnectFrameDecoder: Sendable {
    /// The longest payload accepted, in bytes.
    public let payloadLimit: Int
    private var buffer: [UInt8] = []
    private var start = 0
    private var isEnded = false

    /// Creates a decoder.
    public init(payloadLimit: Int = ConnectFrame.defaultPayloadLimit) { self.payloadLimit = payloadLimit }

    /// Adds bytes as they arrived.
    public mutating func append(_ bytes: some Collection<UInt8>) {
        if start > 0 {
            buffer.removeSubrange(..<start)
            start = 0
        }
        buffer += bytes
    }

    /// Whether bytes of an incomplete frame are left.
    public var isMidFrame: Bool { start < buffer.count }

    /// The next whole frame; nil when more bytes are needed.
    ///
    /// - Throws: `resource_exhausted` for a payload over the limit, `unimplemented` for a compressed one,
    ///   `invalid_argument` for a payload that is not JSON and for frames after the end.
    public mutating func next() throws(ConnectError) -> ConnectFrame? {
        let available = buffer.count - start
        guard available >= ConnectFrame.headerLength else { return nil }
        guard !isEnded else { throw ConnectError(.invalidArgument, "a frame follows the end of the stream") }
        let flags = buffer[start]
        let length = buffer[(start + 1)..<(start + ConnectFrame.headerLength)].reduce(0) { $0 << 8 | Int($1) }
        guard length <= payloadLimit else {
            throw ConnectError(.resourceExhausted, "a frame of \(length) bytes exceeds the limit of \(payloadLimit)")
        }
        guard flags & ConnectFrame.compressedFlag == 0 else {
            throw ConnectError(.unimplemented, "compressed frames are not supported")
        }
        guard flags & ~ConnectFrame.endFlag == 0 else {
            throw ConnectError(.invalidArgument, "a frame has unknown flags \(flags)")
        }
        guard available >= ConnectFrame.headerLength + length else { return nil }
        let payload = buffer[(start + ConnectFrame.headerLength)..<(start + ConnectFrame.headerLength + length)]
        start += ConnectFrame.headerLength + length
        let json = try Self.parse(payload)
        guard flags & ConnectFrame.endFlag != 0 else { return .message(json) }
        isEnded = true
        return .end(json["error"].map { ConnectError(json: $0) ?? ConnectError(.unknown, $0.description) })
    }

    private static func parse(_ payload: ArraySlice<UInt8>) throws(ConnectError) -> JSONValue {
        do {
            return try JSONValue(parsing: payload)
        } catch {
            throw ConnectError(.invalidArgument, "a frame is not JSON: \(error)")
        }
    }
}
