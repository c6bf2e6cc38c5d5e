import DeploymentCore
import E2BProtocol
import HTTPTypes
import HostedSandboxes
import Hummingbird
import NIOCore

/// Events of sandboxes and the webhooks that are told of them (protocol note 5).
public struct EventRoutes: E2BRoutes {
    /// The largest body of a request, in bytes.
    public static let maximumBody = 64 << 10
    /// Texts that may wait for a slow follower; one that lags more loses its oldest, and sees the gap in their numbers.
    static let maximumBuffered = 1_024

    let events: SandboxEvents

    /// Creates the routes.
    public init(events: SandboxEvents) {
        self.events = events
    }

    /// Adds the routes below `/events`.
    public func add<Context: RequestContext>(to routes: some RouterMethods<Context>) {
        addEvents(to: routes)
        addWebhooks(to: routes, at: "events/webhooks", defaultName: "")
        // The same things by the path that they had before there were names.
        addWebhooks(to: routes, at: "events/webhooks/sandboxes", defaultName: "sandboxes")
        addDeliveries(to: routes)
    }

    private func addEvents<Context: RequestContext>(to routes: some RouterMethods<Context>) {
        routes.get("events/sandboxes") { request, _ in try answer { try list(of: nil, request) } }
        routes.get("events/sandboxes/stream") { request, _ in try answer { try stream(request) } }
        routes.get("events/sandboxes/:sandbox") { request, context in
            let sandbox = try context.parameters.require("sandbox")
            return try answer { try list(of: sandbox, request) }
        }
    }

    private func list(of sandbox: String?, _ request: Request) throws -> Response {
        let query = EventQuery(request)
        let found = try events.events(
            of: sandbox, types: try query.list("types"),
            offset: try query.number("offset", in: 0 ... .max, else: 0),
            limit: try query.number("limit", in: 1...100, else: 10), isAscending: try query.flag("orderAsc"))
        return json(.array(found))
    }

    private func addWebhooks<Context: RequestContext>(
        to routes: some RouterMethods<Context>, at path: String, defaultName: String
    ) {
        let all = RouterPath(path)
        let one = RouterPath("\(path)/:webhook")
        routes.post(all) { request, _ in
            let body = try await read(request)
            return try answer {
                var creation = try WebhookCreation(json: body)
                if creation.name.isEmpty { creation.name = defaultName }
                return json(try events.addWebhook(creation).json, .created)
            }
        }
        routes.get(all) { _, _ in try answer { json(.array(try events.webhooks().map(\.json))) } }
        routes.get(one) { _, context in
            let id = try context.parameters.require("webhook")
            return try answer { json(try events.webhook(id).json) }
        }
        routes.patch(one) { request, context in
            let id = try context.parameters.require("webhook")
            let body = try await read(request)
            return try answer { json(try events.changeWebhook(id, try WebhookChange(json: body)).json) }
        }
        routes.delete(one) { _, context in
            let id = try context.parameters.require("webhook")
            return try answer {
                try events.removeWebhook(id)
                return Response(status: .ok)
            }
        }
    }

    private func addDeliveries<Context: RequestContext>(to routes: some RouterMethods<Context>) {
        routes.get("events/webhooks/:webhook/deliveries") { request, context in
            let id = try context.parameters.require("webhook")
            return try answer { json(try deliveries(of: id, EventQuery(request))) }
        }
        routes.get("events/webhooks/:webhook/stats") { request, context in
            let id = try context.parameters.require("webhook")
            return try answer { json(try statistics(of: id, EventQuery(request))) }
        }
        routes.post("events/webhooks/:webhook/deliveries/:event/redeliver") { _, context in
            let id = try context.parameters.require("webhook")
            let event = try context.parameters.require("event")
            return try answer { json(try events.redeliver(event, to: id), .accepted) }
        }
    }

    private func deliveries(of webhook: String, _ query: EventQuery) throws -> JSONValue {
        let wanted = try query.list("deliveryStatus")
        for status in wanted where status != "success" && status != "failed" {
            throw ControlFailure(400, "deliveryStatus is neither success nor failed")
        }
        let cursor = try query.text("cursor").map { text in
            guard let number = Int64(text), number >= 0 else {
                throw ControlFailure(400, "cursor is not one that was handed out")
            }
            return number
        }
        return try events.deliveries(
            of: webhook, cursor: cursor, limit: try query.number("limit", in: 1...100, else: 25),
            isAscending: try query.flag("orderAsc"), start: try query.time("start"), end: try query.time("end"),
            isSuccess: Set(wanted).count == 1 ? wanted.first == "success" : nil, types: try query.list("eventType"))
    }

    private func statistics(of webhook: String, _ query: EventQuery) throws -> JSONValue {
        let (start, end) = (try query.time("start"), try query.time("end"))
        if let start, let end, start >= end { throw ControlFailure(400, "start is not before end") }
        return try events.statistics(of: webhook, start: start, end: end)
    }

    // MARK: bodies

    private func read(_ request: Request) async throws -> JSONValue {
        let buffer: ByteBuffer
        do {
            buffer = try await request.body.collect(upTo: Self.maximumBody)
        } catch is NIOTooManyBytesError {
            throw ControlFailure(413, "the request body is longer than \(Self.maximumBody) bytes")
        } catch let error as any HTTPResponseError where error.status == .contentTooLarge {
            throw ControlFailure(413, "the request body is longer than \(Self.maximumBody) bytes")
        }
        do {
            return try JSONValue(parsing: buffer.readableBytesView)
        } catch {
            throw ControlFailure(400, "the request body is not JSON: \(error)")
        }
    }

    private func json(_ value: JSONValue, _ status: HTTPResponse.Status = .ok) -> Response {
        Response(
            status: status, headers: [.contentType: "application/json"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: value.encoded())))
    }

    /// Turns what modules below throw into the errors of this API.
    private func answer(_ body: () throws -> Response) throws -> Response {
        do {
            return try body()
        } catch let error as ConnectError {
            throw ControlFailure(400, error.message)
        } catch let error as BerthError {
            throw switch error.code {
            case .notFound: ControlFailure(404, error.message)
            case .conflict, .quota: ControlFailure(409, error.message)
            case .usage: ControlFailure(400, error.message)
            case .storageFull: ControlFailure(503, error.message, shouldRetry: false)
            default: ControlFailure(500, "the events cannot be read or written")
            }
        }
    }

    // MARK: stream

    private func stream(_ request: Request) throws -> Response {
        let query = EventQuery(request)
        let types = try query.list("types")
        let sandbox = try query.text("sandbox")
        let given = request.headers[HTTPField.Name("Last-Event-ID") ?? .eTag]
        let last = given.flatMap { Int64($0) }
        guard given == nil || last != nil else { throw ControlFailure(400, "Last-Event-ID is not a number") }
        try events.check(types: types)
        return Response(
            status: .ok, headers: [.contentType: "text/event-stream", .cacheControl: "no-store"],
            body: ResponseBody { writer in
                let pipe = AsyncStream<String>.makeStream(bufferingPolicy: .bufferingNewest(Self.maximumBuffered))
                try await request.body.consumeWithCancellationOnInboundClose { _ in
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        group.addTask {
                            defer { pipe.continuation.finish() }
                            try await events.follow(of: sandbox, types: types, after: last) { number, type, event in
                                pipe.continuation.yield("id: \(number)\nevent: \(type)\ndata: \(event)\n\n")
                            }
                        }
                        // Tells a proxy between us that this is the answer.
                        try await writer.write(ByteBuffer(string: ": events\n\n"))
                        for await text in pipe.stream { try await writer.write(ByteBuffer(string: text)) }
                        try await group.waitForAll()
                    }
                }
                try await writer.finish(nil)
            })
    }
}
