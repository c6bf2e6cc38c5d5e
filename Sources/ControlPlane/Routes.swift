import ControlAPI
import DeploymentCore
import E2BServer
import Foundation
import HTTPTypes
import HostedSandboxes
import Hummingbird
import NIOCore
import Orchestration
import ServiceLifecycle

/// The HTTP API: each route decodes, makes one call and encodes.
struct Routes: Sendable {
    /// The largest JSON body of a request, in bytes.
    static let maximumBody = 8 << 20

    let service: DeploymentService
    let pauses: Pauses
    let sampler: StatisticsSampler
    let images: HostedImages
    let volumes: Volumes
    let blobs: @Sendable (_ digest: String, _ body: RequestBody) async throws -> Void
    let missingBlobs: @Sendable ([String]) async -> [String]
    let server: ServerResource
    let stop: @Sendable (_ keepingSandboxes: Bool) async -> Void

    func router(token: String) -> Router<BasicRequestContext> {
        let router = Router(context: BasicRequestContext.self)
        router.addMiddleware { ProblemMiddleware() }
        router.addMiddleware { TokenMiddleware(token: token) }
        let version = router.group("v1")
        addServer(to: version)
        addBlobs(to: version)
        addRollouts(to: version)
        addDeployments(to: version)
        addLogs(to: version)
        addOperation(to: version)
        addLifecycle(to: version)
        AgentRoutes(pauses: pauses).add(to: version)
        images.add(to: version.group("images").add(middleware: ControlFailureMiddleware()), prefix: "/v1/images")
        VolumeRoutes(volumes).addVolumes(to: version.group().add(middleware: ControlFailureMiddleware()))
        return router
    }

    private func addServer(to group: RouterGroup<BasicRequestContext>) {
        group.get("server") { _, _ in try json(server) }
        group.post("server/stop") { request, _ in
            await stop(request.uri.queryParameters["keep_sandboxes"] == "true")
            return Response(status: .accepted)
        }
    }

    private func addBlobs(to group: RouterGroup<BasicRequestContext>) {
        group.post("blobs/missing") { request, _ in
            let list = try await decode(BlobList.self, request)
            guard list.digests.count <= BlobList.maximumCount else {
                throw BerthError(.tooLarge, "more than \(BlobList.maximumCount) digests")
            }
            return try json(BlobList(digests: await missingBlobs(list.digests)))
        }
        group.put("blobs/:digest") { request, context in
            try await blobs(try context.parameters.require("digest"), request.body)
            return Response(status: .created)
        }
    }

    private func addRollouts(to group: RouterGroup<BasicRequestContext>) {
        group.post("rollouts") { request, _ in
            let deploy = try await decode(DeployRequest.self, request)
            return try json(try await service.submit(deploy), status: .accepted)
        }
        group.get("rollouts/:id") { _, context in
            try json(try await service.rollout(try context.parameters.require("id")))
        }
        group.delete("rollouts/:id") { _, context in
            try json(try await service.cancel(try context.parameters.require("id")))
        }
        group.get("rollouts/:id/events") { request, context in
            let id = try context.parameters.require("id")
            _ = try await service.rollout(id)
            let last = request.headers[.lastEventID].flatMap { Int64($0) } ?? 0
            return stream(request, type: "text/event-stream") { deliver in
                try await EventStream(service: service, rollout: id).run(after: last, deliver)
            }
        }
    }

    private func addLifecycle(to group: RouterGroup<BasicRequestContext>) {
        group.post("deployments/:name/expiry") { request, context in
            let expiry = try await decode(ExpiryRequest.self, request)
            guard (expiry.milliseconds == nil) == (expiry.isEndless ?? false) else {
                throw BerthError(.usage, "the request needs either milliseconds or isEndless")
            }
            let name = try context.parameters.require("name")
            _ = try await service.extend(name, milliseconds: expiry.milliseconds, isExact: expiry.isExact ?? false)
            return try json(try await pauses.deployment(name))
        }
        group.get("events") { request, _ in
            let query = request.uri.queryParameters
            return try json(
                try service.lifecycle(
                    of: query["deployment"].map(String.init), after: query["after"].flatMap { Int64($0) } ?? 0,
                    limit: query["limit"].flatMap { Int($0) } ?? DeploymentService.maximumEvents))
        }
    }

    private func addDeployments(to group: RouterGroup<BasicRequestContext>) {
        group.get("deployments") { _, _ in try json(try await pauses.deployments()) }
        group.get("deployments/:name") { _, context in
            try json(try await pauses.deployment(try context.parameters.require("name")))
        }
        group.delete("deployments/:name") { _, context in
            try await service.destroy(try context.parameters.require("name"))
            return Response(status: .noContent)
        }
        group.post("deployments/:name/rollback") { request, context in
            let rollback = try await decode(RollbackRequest.self, request)
            let name = try context.parameters.require("name")
            return try json(try await service.rollBack(name, to: rollback.revision), status: .accepted)
        }
        group.get("deployments/:name/revisions") { _, context in
            try json(try await service.revisions(of: try context.parameters.require("name")))
        }
        group.get("deployments/:name/revisions/:number") { _, context in
            let number = try context.parameters.require("number", as: Int.self)
            return try json(try await service.revision(number, of: try context.parameters.require("name")))
        }
    }

    private func addOperation(to group: RouterGroup<BasicRequestContext>) {
        group.get("statistics") { request, _ in
            try json(try await sampler.statistics(history: Self.samples(request)))
        }
        group.get("deployments/:name/statistics") { request, context in
            let deployment = try await pauses.deployment(try context.parameters.require("name"))
            return try json(await sampler.statistics(of: deployment, history: Self.samples(request)))
        }
        group.post("deployments/:name/pause") { _, context in
            try json(try await pauses.pause(try context.parameters.require("name")))
        }
        group.post("deployments/:name/resume") { _, context in
            try json(try await pauses.resume(try context.parameters.require("name")))
        }
        group.get("deployments/:name/access") { _, context in
            let (deployment, sandbox, _) = try await pauses.enter(try context.parameters.require("name"))
            return try json(try await service.access(to: deployment, in: sandbox))
        }
    }

    /// How many earlier samples are wanted; all of them when the request does not say.
    private static func samples(_ request: Request) -> Int {
        request.uri.queryParameters["samples"].flatMap { Int($0) } ?? StatisticsSampler.capacity
    }

    private func addLogs(to group: RouterGroup<BasicRequestContext>) {
        group.get("deployments/:name/logs") { request, context in
            let name = try context.parameters.require("name")
            _ = try await service.deployment(name)
            let query = request.uri.queryParameters
            let since = query["since"].flatMap { Int64($0) }
            // Who asks for a time wants all of it.
            let standard = since == nil ? 100 : LogBook.maximumTail
            let tail = min(max(query["tail"].flatMap { Int($0) } ?? standard, 0), LogBook.maximumTail)
            let revision = query["revision"].flatMap { Int($0) }
            let following = query["follow"] == "true"
            return stream(request, type: "text/plain; charset=utf-8") { deliver in
                let later = LaterLines(since: since)
                // A stop must not wait for somebody who only looks on; rollouts end before their followers do.
                try await cancelWhenGracefulShutdown {
                    try await service.logs(
                        of: name, revision: revision, tail: tail, following: following
                    ) { text in
                        let text = later.of(text)
                        if !text.isEmpty { try await deliver(text) }
                    }
                }
            }
        }
    }

    // MARK: bodies

    private func decode<Value: Decodable>(_ type: Value.Type, _ request: Request) async throws -> Value {
        let buffer = try await request.body.collect(upTo: Self.maximumBody)
        do {
            return try JSONDecoder().decode(type, from: Data(buffer.readableBytesView))
        } catch {
            throw BerthError(.usage, "the request body is not a \(type)", cause: error)
        }
    }

    private func json(_ value: some Encodable, status: HTTPResponse.Status = .ok) throws -> Response {
        let data = try JSONEncoder().encode(value)
        return Response(
            status: status, headers: [.contentType: "application/json"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: data)))
    }

    /// A body that is written while it happens, and cancelled when the client leaves.
    private func stream(
        _ request: Request, type: String,
        _ body: @escaping @Sendable (_ deliver: @escaping @Sendable (String) async throws -> Void) async throws -> Void
    ) -> Response {
        Response(
            status: .ok, headers: [.contentType: type, .cacheControl: "no-store"],
            body: ResponseBody { writer in
                let pipe = AsyncStream<String>.makeStream(
                    bufferingPolicy: .bufferingNewest(EventStream.maximumBuffered))
                try await request.body.consumeWithCancellationOnInboundClose { _ in
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        group.addTask {
                            defer { pipe.continuation.finish() }
                            try await body { pipe.continuation.yield($0) }
                        }
                        for await text in pipe.stream { try await writer.write(ByteBuffer(string: text)) }
                        try await group.waitForAll()
                    }
                }
                try await writer.finish(nil)
            })
    }
}

extension HTTPField.Name {
    /// The resume point of a server-sent event stream.
    static var lastEventID: HTTPField.Name { HTTPField.Name("Last-Event-ID") ?? .eTag }
}
