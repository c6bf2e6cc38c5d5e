import DeploymentCore
import E2BProtocol
import HTTPTypes
import Hummingbird
import NIOCore

extension ControlFailure: ResponseGenerator, HTTPResponseError {
    /// The status as HTTP has it.
    public var status: HTTPResponse.Status { HTTPResponse.Status(code: code) }

    /// The body of the error, with the hints for those who try again.
    public func response(from request: Request, context: some RequestContext) throws -> Response {
        var headers: HTTPFields = [.contentType: "application/json"]
        if let retryAfter { headers[.retryAfter] = "\(retryAfter)" }
        if let shouldRetry, let name = HTTPField.Name("Should-Retry") { headers[name] = "\(shouldRetry)" }
        for (suffix, value) in [("Limit", rate?.limit), ("Remaining", rate?.remaining), ("Reset", rate?.reset)] {
            if let value, let name = HTTPField.Name("RateLimit-\(suffix)") { headers[name] = "\(value)" }
        }
        return Response(
            status: status, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(bytes: json.encoded())))
    }
}
