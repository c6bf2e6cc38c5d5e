import DeploymentCore
import E2BProtocol

extension Connection {
    private static let jsonHeader = [("Content-Type", "application/json")]
    private static let streamHeader = [("Content-Type", "application/connect+json")]

    func respond(json: JSONValue, status: Int = 200) {
        respond(status: status, headers: Self.jsonHeader, body: json.encoded())
    }

    /// The failure of a plain HTTP request: `{"code": status, "message": …}`.
    func fail(status: Int, message: String) {
        respond(json: ["code": .integer(Int64(status)), "message": .string(message)], status: status)
    }

    /// The failure of a unary call.
    func fail(_ error: ConnectError) { respond(json: error.json, status: error.code.httpStatus) }

    /// Begins the answer of a streaming call.
    func beginStream() { begin(status: 200, headers: Self.streamHeader, length: nil) }

    /// Ends the answer of a streaming call.
    func endStream(_ error: ConnectError? = nil) {
        sendChunk(ConnectFrame.end(error).encoded())
        finishChunks()
    }
}
