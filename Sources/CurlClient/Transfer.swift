import DeploymentCore
import Glibc

/// One request on its way: the consumer's side and the loop's side meet in a locked state.
///
/// `finish` is called exactly once for each transfer, whatever happens, and closes what the transfer owns.
final class Transfer: @unchecked Sendable {
    /// The most bytes of a body that are held before the connection is paused.
    static let maximumBuffered = 256 << 10

    let request: HTTPRequest
    /// What errors call the server: without user information and query, which may be secrets.
    let target: String
    private let loop: CurlLoop
    private let state = Locked(State())
    /// The way of a body that is made while it is sent; nil for others.
    let writer: HTTPBodyWriter?
    private let producer = Locked<Task<Void, Never>?>(nil)

    // What follows is touched by the loop's thread only, once the transfer was submitted.
    var head = ResponseHead()
    var connectedSocket: Int32?
    /// What libcurl believes to be its socket; libcurl's to close.
    var placeholder: Int32?
    var upload: Upload?
    var deniedAddress: String?
    var failure: BerthError?
    var options = TransferOptions()

    /// Takes over the request's connected socket, and opens the file it uploads.
    ///
    /// - Throws: `not_found` when the file cannot be opened, `usage` for a header or method that cannot be sent; the
    ///   connected socket is closed then.
    init(_ request: HTTPRequest, loop: CurlLoop) throws {
        self.request = request
        self.loop = loop
        target = Self.describe(request)
        if case .stream = request.body { writer = HTTPBodyWriter() } else { writer = nil }
        if case .connected(let socket) = request.transport { connectedSocket = socket }
        do {
            try request.validate()
            if case .file(let path, let length) = request.body { upload = try Upload(path: path, length: length) }
        } catch {
            closeDescriptors()
            throw error
        }
    }

    private static func describe(_ request: HTTPRequest) -> String {
        guard let parts = URLParts(request.url) else { return "the given URL" }
        let isDefault = parts.port == (parts.scheme == "https" ? "443" : "80")
        return "\(parts.scheme)://\(parts.host)\(isDefault ? "" : ":\(parts.port)")\(parts.path)"
    }

    /// Starts to make the body, where it is made while it is sent.
    func beginBody() {
        guard case .stream(let produce) = request.body, let writer else { return }
        writer.attach { [weak self] in
            if let self { loop.submit(.resume(self)) }
        }
        producer.withLock {
            $0 = Task {
                do {
                    try await produce(writer)
                    writer.finish(.success(()))
                } catch {
                    writer.finish(.failure(error))
                }
            }
        }
    }

    private func closeDescriptors() {
        if let socket = connectedSocket { close(socket) }
        if let upload { close(upload.file) }
        connectedSocket = nil
        upload = nil
    }

    private struct State {
        var head: (status: Int, headers: HTTPHeaders)?
        var buffer: [UInt8] = []
        var highWater = 0
        var isPaused = false
        var isCancelled = false
        var outcome: Result<Void, any Error>?
        var version = 0
        var waiters: [CheckedContinuation<Void, Never>] = []
    }
}

// The consumer's side.
extension Transfer {
    /// Suspends until the head is there.
    func awaitResponse() async throws -> HTTPResponse {
        try await withTaskCancellationHandler {
            try await wait { state -> Result<HTTPResponse, any Error>? in
                if state.isCancelled { return .failure(CancellationError()) }
                if let (status, headers) = state.head {
                    return .success(HTTPResponse(status: status, headers: headers, body: HTTPBody(transfer: self)))
                }
                switch state.outcome {
                case .failure(let error)?: return .failure(error)
                case .success?: return .failure(BerthError(.unreachable, "\(self.target) sent no answer"))
                case nil: return nil
                }
            }.get()
        } onCancel: {
            cancel()
        }
    }

    /// Suspends until there is something to read; nil at the end.
    func nextChunk() async throws -> [UInt8]? {
        try await withTaskCancellationHandler {
            let (chunk, wasPaused) = try await wait { state -> Result<([UInt8]?, Bool), any Error>? in
                if state.isCancelled { return .failure(CancellationError()) }
                if !state.buffer.isEmpty {
                    let chunk = state.buffer
                    let wasPaused = state.isPaused
                    state.buffer = []
                    state.isPaused = false
                    return .success((chunk, wasPaused))
                }
                return state.outcome.map { outcome in outcome.map { (nil, false) } }
            }.get()
            if wasPaused { loop.submit(.resume(self)) }
            return chunk
        } onCancel: {
            cancel()
        }
    }

    /// Ends the transfer, if it still runs, and suspends until all it owned is closed.
    func end() async {
        loop.submit(.abort(self))
        await wait { $0.outcome == nil ? nil : () }
        let producer = producer.withLock { $0 }
        producer?.cancel()
        await producer?.value
    }

    /// Makes every wait throw `CancellationError` and ends the transfer.
    func cancel() {
        change { $0.isCancelled = true }
        producer.withLock { $0 }?.cancel()
        loop.submit(.abort(self))
    }

    /// The most bytes that were held at once.
    var highWater: Int { state.withLock { $0.highWater } }

    private func wait<Value>(_ ready: (inout State) -> Value?) async -> Value {
        while true {
            let (value, version) = state.withLock { (ready(&$0), $0.version) }
            if let value { return value }
            await withCheckedContinuation { continuation in
                let hasChanged = state.withLock { state in
                    if state.version == version { state.waiters.append(continuation) }
                    return state.version != version
                }
                if hasChanged { continuation.resume() }
            }
        }
    }

    private func change<Value>(_ body: (inout State) -> Value) -> Value {
        let (value, waiters) = state.withLock { state in
            let value = body(&state)
            state.version += 1
            defer { state.waiters = [] }
            return (value, state.waiters)
        }
        for waiter in waiters { waiter.resume() }
        return value
    }
}

// The loop's side.
extension Transfer {
    /// The head is whole.
    func deliver(status: Int, headers: HTTPHeaders) {
        change { $0.head = (status, headers) }
    }

    /// Takes bytes of the body; false asks to pause and to offer them again later.
    func deliver(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        change { state in
            guard state.buffer.count < Self.maximumBuffered else {
                state.isPaused = true
                return false
            }
            state.buffer += bytes
            state.highWater = max(state.highWater, state.buffer.count)
            return true
        }
    }

    /// The transfer is over and libcurl has let go of it.
    func finish(_ outcome: Result<Void, any Error>) {
        closeDescriptors()
        writer?.close()
        change { $0.outcome = $0.outcome ?? outcome }
    }
}

/// A file on its way up.
struct Upload {
    let file: Int32
    let length: Int64
    var offset: Int64 = 0

    init(path: String, length: Int64) throws {
        file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else {
            throw BerthError(.notFound, "cannot open \(path): \(String(cString: strerror(errno)))")
        }
        self.length = length
    }
}
