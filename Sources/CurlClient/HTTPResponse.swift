import DeploymentCore

/// The head of an answer, and its body as it comes.
public struct HTTPResponse: Sendable {
    /// The status code; never 1xx.
    public let status: Int
    /// The headers.
    public let headers: HTTPHeaders
    /// The body, to be read inside the closure that was given this response.
    public let body: HTTPBody
}

/// A whole answer.
public struct HTTPReply: Sendable {
    /// The status code; never 1xx.
    public let status: Int
    /// The headers.
    public let headers: HTTPHeaders
    /// The body.
    public let body: [UInt8]
}

/// Header fields in the order they came.
public struct HTTPHeaders: Sendable {
    /// All fields.
    public let all: [(name: String, value: String)]

    /// Creates headers.
    public init(_ all: [(name: String, value: String)] = []) {
        self.all = all
    }

    /// The first value of a field; the case of `name` does not matter.
    public subscript(name: String) -> String? {
        let wanted = name.lowercased()
        return all.first { $0.name.lowercased() == wanted }?.value
    }
}

/// The body of an answer in chunks; while nobody reads, at most 256 KiB and one network read are held.
public struct HTTPBody: AsyncSequence, Sendable {
    /// Some bytes, never empty.
    public typealias Element = [UInt8]

    let transfer: Transfer

    /// Reads the body; one iterator at a time gets each byte.
    public func makeAsyncIterator() -> Iterator { Iterator(transfer: transfer) }

    /// The rest of the body.
    ///
    /// - Throws: `too_large` once it is longer than `limit` bytes.
    public func collect(limit: Int) async throws -> [UInt8] {
        var bytes: [UInt8] = []
        for try await chunk in self {
            guard bytes.count + chunk.count <= limit else {
                throw BerthError(.tooLarge, "the answer of \(transfer.target) is longer than \(limit) bytes")
            }
            bytes += chunk
        }
        return bytes
    }

    /// Reads chunks.
    public struct Iterator: AsyncIteratorProtocol {
        let transfer: Transfer

        /// The next bytes; nil at the end.
        ///
        /// - Throws: `unreachable` or `timeout` when the transfer broke, `CancellationError` when the task was cancelled.
        public mutating func next() async throws -> [UInt8]? { try await transfer.nextChunk() }
    }
}
