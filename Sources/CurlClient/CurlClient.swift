import DeploymentCore

/// An HTTP/1.1 client: streaming with back-pressure, unix sockets, connected sockets, an address policy.
///
/// All transfers share one thread. Nothing is retried and no cookie kept.
public final class CurlClient: Sendable {
    let loop = CurlLoop()

    /// Starts the client's thread; when there is none to be had, every request fails with `unreachable`.
    public init() {
        loop.start()
    }

    deinit { loop.close() }

    /// Ends all transfers with `unreachable` and joins the thread.
    public func close() {
        loop.close()
    }

    /// Sends a request and reads the whole answer into memory.
    ///
    /// - Parameter limit: the most bytes the body may have; 1 MiB unless told.
    /// - Throws: as `withResponse`; `too_large` for a longer body, before it is read where its length is announced.
    public func send(_ request: HTTPRequest, limit: Int = 1 << 20) async throws -> HTTPReply {
        try await withResponse(request) { response in
            if request.method != "HEAD", let length = response.headers["Content-Length"].flatMap({ Int($0) }),
                length > limit
            {
                throw BerthError(
                    .tooLarge, "the answer of \(response.body.transfer.target) has \(length) bytes, more than \(limit)")
            }
            let body = try await response.body.collect(limit: limit)
            return HTTPReply(status: response.status, headers: response.headers, body: body)
        }
    }

    /// Sends a request and runs `body` with the answer once its head is there.
    ///
    /// The closure is the transfer's lifetime: after it, and when the task is cancelled, the transfer is aborted and all
    /// it owned is closed.
    ///
    /// - Throws: `unreachable` or `timeout` with a `CurlError` as cause, `usage` for what cannot be sent, `too_large` for
    ///   a head over 64 KiB, `CancellationError`, and what `body` throws.
    public func withResponse<R: Sendable>(
        _ request: HTTPRequest, isolation: isolated (any Actor)? = #isolation,
        _ body: (HTTPResponse) async throws -> R
    ) async throws -> R {
        let deadline = request.timeout.map { ContinuousClock.now + $0 }
        var request = request
        while true {
            let transfer = try Transfer(request, loop: loop)
            let step: Result<R, Redirect>
            do {
                step = try await run(transfer, body)
            } catch {
                await transfer.end()
                throw error
            }
            await transfer.end()
            switch step {
            case .success(let value): return value
            case .failure(let redirect): request = redirect.request
            }
            if let deadline { request.timeout = max(.milliseconds(1), ContinuousClock.now.duration(to: deadline)) }
        }
    }

    func begin(_ transfer: Transfer) {
        transfer.beginBody()
        loop.submit(.start(transfer))
    }

    private struct Redirect: Error {
        let request: HTTPRequest
    }

    private func run<R: Sendable>(
        _ transfer: Transfer, isolation: isolated (any Actor)? = #isolation,
        _ body: (HTTPResponse) async throws -> R
    ) async throws -> Result<R, Redirect> {
        begin(transfer)
        // Cancelled tasks abort through this handler wherever the closure is waiting.
        return try await withTaskCancellationHandler {
            let response = try await transfer.awaitResponse()
            if let next = transfer.request.redirected(by: response) { return .failure(Redirect(request: next)) }
            return .success(try await body(response))
        } onCancel: {
            transfer.cancel()
        }
    }
}
