import ControlAPI
import DeploymentCore
import Foundation
import HTTPTypes
import Hummingbird
import NIOCore

/// Turns every error into a problem body with its stable code.
struct ProblemMiddleware<Context: RequestContext>: RouterMiddleware {
    func handle(
        _ request: Request, context: Context, next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        do {
            return try await next(request, context)
        } catch let error as BerthError {
            return try Self.response(Problem(error))
        } catch let error as any HTTPResponseError where error.status == .notFound {
            return try Self.response(
                Problem(code: .notFound, title: "there is no \(request.method) \(request.uri.path)"))
        } catch let error as any HTTPResponseError where error.status == .contentTooLarge {
            return try Self.response(Problem(code: .tooLarge, title: "the request body is too large"))
        } catch let error as any HTTPResponseError {
            return try Self.response(Problem(code: .usage, title: "\(error)"))
        } catch {
            return try Self.response(Problem(error))
        }
    }

    static func response(_ problem: Problem) throws -> Response {
        Response(
            status: HTTPResponse.Status(code: problem.status), headers: [.contentType: Problem.mediaType],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: try JSONEncoder().encode(problem))))
    }
}

/// Lets only clients with the token in.
struct TokenMiddleware<Context: RequestContext>: RouterMiddleware {
    let token: String

    func handle(
        _ request: Request, context: Context, next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        let given = request.headers[.authorization] ?? ""
        guard ConstantTime.equals(given, "Bearer \(token)") else {
            throw BerthError(
                .unauthorized, "the token is missing or wrong",
                suggestion: "send `Authorization: Bearer` with the content of the file `token` in BERTH_HOME")
        }
        return try await next(request, context)
    }
}
