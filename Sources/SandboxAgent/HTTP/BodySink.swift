import E2BProtocol

/// Takes the body of one request.
protocol BodySink: AnyObject {
    /// A part of the body.
    func receive(_ bytes: ArraySlice<UInt8>)
    /// The body is whole.
    func complete()
    /// The connection is gone before the body was whole.
    func abandon()
}

/// Collects the body of a call.
final class CollectedBody: BodySink {
    /// The longest body of a call, in bytes.
    static let limit = 4 << 20
    private var bytes: [UInt8] = []
    private var isRefused = false
    private let then: (Result<[UInt8], ConnectError>) -> Void

    init(then: @escaping (Result<[UInt8], ConnectError>) -> Void) { self.then = then }

    func receive(_ part: ArraySlice<UInt8>) {
        guard !isRefused else { return }
        guard bytes.count + part.count <= Self.limit else {
            isRefused = true
            bytes = []
            return then(
                .failure(ConnectError(.resourceExhausted, "the body exceeds the limit of \(Self.limit) bytes")))
        }
        bytes += part
    }

    func complete() {
        if !isRefused { then(.success(bytes)) }
    }

    func abandon() {}
}

/// Lets the rest of a body pass whose request has been answered already.
final class DiscardedBody: BodySink {
    /// Bytes to take before the connection is closed instead.
    static let limit = 64 << 20
    private var count = 0
    private let connection: Connection

    init(_ connection: Connection) { self.connection = connection }

    func receive(_ bytes: ArraySlice<UInt8>) {
        count += bytes.count
        if count > Self.limit { connection.close() }
    }

    func complete() {}

    func abandon() {}
}
