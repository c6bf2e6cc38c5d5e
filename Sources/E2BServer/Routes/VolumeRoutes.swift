import DeploymentCore
import E2BProtocol
import HTTPTypes
import HostedSandboxes
import Hummingbird
import NIOCore

/// Volumes and their contents (protocol note 1.8).
public struct VolumeRoutes: E2BRoutes {
    private static let contents = "volumecontent"
    private static let scheme = "Bearer "
    private let volumes: Volumes

    /// Serves from the service.
    public init(_ volumes: Volumes) { self.volumes = volumes }

    /// Contents are: they ask for the volume's token.
    public func isOpen(_ request: Request) -> Bool { request.uri.path.hasPrefix("/\(Self.contents)/") }

    /// Adds the routes.
    public func add(to router: RouterGroup<BasicRequestContext>) {
        addVolumes(to: router)
        let contents = router.group("\(Self.contents)/:id").add(middleware: VolumeFailures())
        addPaths(to: contents)
        addFiles(to: contents)
    }

    /// Adds the routes of volumes alone, without their contents.
    public func addVolumes(to router: RouterGroup<BasicRequestContext>) {
        router.get("volumes") { _, _ in ImageWire.answer(.array(try volumes.list().map(\.json))) }
        router.post("volumes") { request, _ in
            guard let name = try await request.controlBody().json["name"]?.string else {
                throw ControlFailure(400, "name is missing")
            }
            return ImageWire.answer(try await volumes.create(name).json, status: .created)
        }
        router.get("volumes/:id") { _, context in
            ImageWire.answer(try volumes.information(try ImageWire.part("id", context)).json)
        }
        router.delete("volumes/:id") { _, context in
            try await volumes.remove(try ImageWire.part("id", context))
            return Response(status: .noContent)
        }
    }

    private func addPaths(to router: RouterGroup<BasicRequestContext>) {
        router.get("path") { request, context in
            ImageWire.answer(try await volumes.entry(try volume(request, context), try Self.path(request)).json)
        }
        router.patch("path") { request, context in
            let id = try volume(request, context)
            let reader = try await request.controlBody().json
            let attributes = try VolumeAttributes { name throws(ConnectError) in try Self.number(reader, name) }
            return ImageWire.answer(try await volumes.change(id, try Self.path(request), attributes).json)
        }
        router.delete("path") { request, context in
            try await volumes.remove(try volume(request, context), try Self.path(request))
            return Response(status: .noContent)
        }
        router.get("dir") { request, context in
            let depth = try request.parameters.number("depth", in: 0...Int64(Int32.max)) ?? 1
            let entries = try await volumes.entries(
                try volume(request, context), try Self.path(request), depth: Int(depth))
            return ImageWire.answer(.array(entries.map(\.json)))
        }
        router.post("dir") { request, context in
            let made = try await volumes.makeFolder(
                try volume(request, context), try Self.path(request), try Self.attributes(request),
                force: Self.isForced(request))
            return ImageWire.answer(made.json, status: .created)
        }
    }

    private func addFiles(to router: RouterGroup<BasicRequestContext>) {
        router.get("file") { request, context in
            let file = try await volumes.read(try volume(request, context), try Self.path(request))
            return Response(
                status: .ok, headers: [.contentType: "application/octet-stream"],
                body: ResponseBody(contentLength: file.length) { writer in
                    try await file.send { try await writer.write(ByteBuffer(bytes: $0)) }
                    try await writer.finish(nil)
                })
        }
        router.put("file") { request, context in
            let body = request.body
            let written = try await volumes.write(
                try volume(request, context), try Self.path(request), try Self.attributes(request),
                force: Self.isForced(request)
            ) { deliver in
                for try await buffer in body { try await deliver(Array(buffer.readableBytesView)) }
            }
            return ImageWire.answer(written.json, status: .created)
        }
    }

    /// The volume that the request shows the token of.
    private func volume(_ request: Request, _ context: some RequestContext) throws -> String {
        let id = try ImageWire.part("id", context)
        guard let field = request.headers[.authorization], field.hasPrefix(Self.scheme) else {
            throw VolumeFailure(401, "UNAUTHORIZED", "the volume's token is missing: send it as Authorization: Bearer")
        }
        guard volumes.accepts(String(field.dropFirst(Self.scheme.count)), for: id) else {
            throw VolumeFailure(401, "UNAUTHORIZED", "the volume's token is wrong")
        }
        return id
    }

    private static func path(_ request: Request) throws -> VolumePath { try VolumePath(request.parameters["path"]) }

    private static func isForced(_ request: Request) -> Bool {
        ["true", "1"].contains(request.parameters["force"]?.lowercased())
    }

    private static func attributes(_ request: Request) throws -> VolumeAttributes {
        let parameters = request.parameters
        return try VolumeAttributes { name throws(ConnectError) in
            guard let text = parameters[name] else { return nil }
            guard let number = Int64(text) else { throw ConnectError(.invalidArgument, "\(name) is not a number") }
            return number
        }
    }

    private static func number(_ json: JSONValue, _ name: String) throws(ConnectError) -> Int64? {
        guard let value = json[name], value != .null else { return nil }
        guard let number = value.integer else { throw ConnectError(.invalidArgument, "\(name) is not a number") }
        return number
    }
}

/// Tells every error about contents with a code in words, as their clients expect it.
private struct VolumeFailures<Context: RequestContext>: RouterMiddleware {
    func handle(
        _ request: Request, context: Context, next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        do {
            return try await next(request, context)
        } catch {
            let failure: VolumeFailure
            if let known = error as? VolumeFailure {
                failure = known
            } else {
                let control = ControlFailure(error)
                failure = VolumeFailure(
                    control.code, control.kind?.uppercased() ?? "ERROR_\(control.code)", control.message)
            }
            return ImageWire.answer(failure.json, status: HTTPResponse.Status(code: failure.status))
        }
    }
}
