import DeploymentCore
import E2BProtocol
import Foundation
import HTTPTypes
import Hummingbird
import NIOCore

/// What the routes of images share: names in paths, bodies and answers.
enum ImageWire {
    /// The largest JSON body of a request, in bytes.
    static let bodyLimit = 4 << 20

    /// A part of the path as it was meant: the router sees it escaped, so that a name may hold a slash.
    static func part(_ name: String, _ context: some RequestContext) throws -> String {
        let raw = try context.parameters.require(name)
        guard let text = raw.removingPercentEncoding, !text.isEmpty else {
            throw ControlFailure(400, "'\(raw.prefix(200))' in the path is not a name")
        }
        return text
    }

    /// Reads the body; nothing at all counts as `{}`.
    static func decode<Message: WireMessage>(_ type: Message.Type, _ request: Request) async throws -> Message {
        do {
            let buffer = try await request.body.collect(upTo: bodyLimit)
            return try Message(json: buffer.readableBytes == 0 ? [:] : JSONValue(parsing: buffer.readableBytesView))
        } catch let error as ConnectError {
            throw ControlFailure(400, error.message)
        } catch let error as JSONParsingError {
            throw ControlFailure(400, "the body is not JSON: \(error)")
        }
    }

    /// An answer in JSON.
    static func answer(
        _ json: JSONValue, status: HTTPResponse.Status = .ok, headers: HTTPFields = [:]
    ) -> Response {
        var headers = headers
        headers[.contentType] = "application/json"
        return Response(
            status: status, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(bytes: json.encoded())))
    }

    /// A number of the query.
    static func number(_ name: String, _ request: Request, default value: Int) throws -> Int {
        guard let text = request.uri.queryParameters[Substring(name)] else { return value }
        guard let number = Int(text), number >= 0 else { throw ControlFailure(400, "\(name) is not a number") }
        return number
    }

    /// A text of the query; nil when it is missing or empty.
    static func text(_ name: String, _ request: Request) -> String? {
        request.uri.queryParameters[Substring(name)].flatMap { $0.isEmpty ? nil : String($0) }
    }
}
