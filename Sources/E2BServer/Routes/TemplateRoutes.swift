import DeploymentCore
import E2BProtocol
import Foundation
import HTTPTypes
import HostedSandboxes
import Hummingbird
import NIOCore

/// Templates, their builds, names and tags (protocol note 1.4, 1.8).
public struct TemplateRoutes: E2BRoutes {
    private let templates: Templates
    private let prefix: String

    /// Serves from the service; `prefix` is what stands before the paths where others look for them.
    public init(_ templates: Templates, prefix: String = "") {
        self.templates = templates
        self.prefix = prefix
    }

    /// Adds the routes.
    public func add(to router: RouterGroup<BasicRequestContext>) {
        addUploads(to: router)
        addBuilds(to: router)
        addNames(to: router)
        addLists(to: router)
    }

    private func addBuilds(to router: some RouterMethods) {
        router.post("v3/templates") { request, _ in
            let ticket = try await templates.request(try await ImageWire.decode(TemplateRequest.self, request))
            return ImageWire.answer(ticket.json, status: .accepted)
        }
        router.get("templates/:id/files/:hash") { request, context in
            let id = try ImageWire.part("id", context)
            let hash = try ImageWire.part("hash", context)
            let upload = try await templates.upload(hash, of: id)
            return ImageWire.answer(
                ["present": .bool(upload.isPresent), "url": .string(url(request, id, hash, upload.token))],
                status: .created)
        }
        router.post("v2/templates/:id/builds/:build") { request, context in
            let recipe = try await ImageWire.decode(TemplateRecipe.self, request)
            try await templates.start(
                try ImageWire.part("build", context), of: try ImageWire.part("id", context), recipe)
            return Response(status: .accepted)
        }
        router.get("templates/:id/builds/:build/status") { request, context in
            let status = try await templates.status(
                try ImageWire.part("build", context), of: try ImageWire.part("id", context),
                offset: try ImageWire.number("logsOffset", request, default: 0),
                limit: try ImageWire.number("limit", request, default: Templates.maximumLogPage),
                level: ImageWire.text("level", request))
            return ImageWire.answer(status)
        }
        router.get("templates/:id/builds/:build/logs") { request, context in
            let entries = try await templates.log(
                try ImageWire.part("build", context), of: try ImageWire.part("id", context),
                cursor: try ImageWire.number("cursor", request, default: 0),
                limit: try ImageWire.number("limit", request, default: Templates.maximumLogPage),
                isBackward: ImageWire.text("direction", request) == "backward",
                level: ImageWire.text("level", request))
            return ImageWire.answer(["logs": .array(entries.map(\.json))])
        }
    }

    private func addNames(to router: some RouterMethods) {
        router.get("templates/aliases/:alias") { _, context in
            let found = try await templates.alias(try ImageWire.part("alias", context))
            return ImageWire.answer(["templateID": .string(found.template), "public": .bool(found.isPublic)])
        }
        router.post("templates/tags") { request, _ in
            let tagged = try await templates.tag(try await ImageWire.decode(TagRequest.self, request))
            return ImageWire.answer(
                ["buildID": .string(tagged.build), "tags": .array(tagged.tags.map { .string($0) })], status: .created)
        }
        router.delete("templates/tags") { request, _ in
            try await templates.untag(try await ImageWire.decode(TagRequest.self, request))
            return Response(status: .noContent)
        }
        router.get("templates/:id/tags") { _, context in
            ImageWire.answer(try await templates.tags(of: try ImageWire.part("id", context)))
        }
        router.patch("v2/templates/:id") { request, context in
            let change = try await ImageWire.decode(TemplateChange.self, request)
            let names = try await templates.change(try ImageWire.part("id", context), change)
            return ImageWire.answer(["names": .array(names.map { .string($0) })])
        }
        router.delete("templates/:id") { _, context in
            try await templates.delete(try ImageWire.part("id", context))
            return Response(status: .noContent)
        }
    }

    private func addLists(to router: some RouterMethods) {
        router.get("templates") { _, _ in
            ImageWire.answer(.array(try await templates.list().map { $0.json() }))
        }
        router.get("v2/templates") { _, _ in
            ImageWire.answer(.array(try await templates.list().map { $0.json() }))
        }
        router.get("templates/:id") { _, context in
            ImageWire.answer(try await templates.template(try ImageWire.part("id", context)).json(withBuilds: true))
        }
    }

    /// Uploads are: their URL is the proof that they are allowed.
    public func isOpen(_ request: Request) -> Bool {
        let parts = request.uri.path.split(separator: "/")
        return request.method == .put && parts.count == 4 && parts[0] == "templates" && parts[2] == "files"
    }

    private func addUploads(to router: RouterGroup<BasicRequestContext>) {
        router.put("templates/:id/files/:hash") { request, context in
            let id = try ImageWire.part("id", context)
            let hash = try ImageWire.part("hash", context)
            guard await templates.mayUpload(hash, of: id, token: ImageWire.text("token", request) ?? "") else {
                throw ControlFailure(403, "the upload is not allowed: ask for its URL again")
            }
            do {
                try await templates.files.store(hash) { deliver in
                    for try await buffer in request.body { try deliver(Array(buffer.readableBytesView)) }
                }
            } catch let error as BerthError {
                throw ControlFailure(error)
            }
            return Response(status: .ok)
        }
    }

    /// The address of an upload: the one that this request came to.
    private func url(_ request: Request, _ id: String, _ hash: String, _ token: String) -> String {
        let host = request.head.authority ?? "127.0.0.1"
        let scheme = HTTPField.Name("X-Forwarded-Proto").flatMap { request.headers[$0] } == "https" ? "https" : "http"
        let secret = token.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? ""
        return "\(scheme)://\(host)\(prefix)/templates/\(id)/files/\(hash)?token=\(secret)"
    }
}
