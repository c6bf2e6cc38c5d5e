import DeploymentCore

/// An answer whose transfer lives as long as this object, for those whose lifetime is no closure's.
public final class OpenResponse: Sendable {
    /// The head, and the body as it comes.
    public let response: HTTPResponse

    init(_ response: HTTPResponse) { self.response = response }

    deinit { response.body.transfer.cancel() }

    /// Aborts what is left of the transfer; who reads its body gets a `CancellationError`.
    public func cancel() { response.body.transfer.cancel() }
}

extension CurlClient {
    /// Sends a request and hands out the answer once its head is there; redirects are not followed.
    ///
    /// - Throws: as `withResponse`.
    public func open(_ request: HTTPRequest) async throws -> OpenResponse {
        let transfer = try Transfer(request, loop: loop)
        begin(transfer)
        do {
            return OpenResponse(try await transfer.awaitResponse())
        } catch {
            await transfer.end()
            throw error
        }
    }
}
