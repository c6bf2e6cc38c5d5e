import DeploymentCore
import E2BProtocol
import HTTPTypes
import HostedSandboxes
import Hummingbird

/// What is known of sandboxes: one, all, what they use, what is told of them.
public struct SandboxLookRoutes: E2BRoutes {
    /// The most sandboxes whose measurements are asked for at once.
    static let maximumMeasured = 100

    let host: SandboxHost

    /// Creates the group.
    public init(host: SandboxHost) { self.host = host }

    /// Adds the routes.
    public func add(to group: RouterGroup<BasicRequestContext>) {
        group.get("sandboxes") { request, _ in
            let query = SandboxQuery(metadata: try Self.metadata(request.parameters), states: [.running])
            return Response.control(.array(try await host.list(query).rows.map(\.json)))
        }
        group.get("v2/sandboxes") { request, _ in try await list(request.parameters) }
        group.get("sandboxes/metrics") { request, _ in
            let ids = request.parameters.list("sandbox_ids")
            guard (1...Self.maximumMeasured).contains(ids.count) else {
                throw ControlFailure(400, "sandbox_ids has to name 1 to \(Self.maximumMeasured) sandboxes")
            }
            return Response.control(["sandboxes": .object(await host.lastMeasurements(ids).mapValues(\.json))])
        }
        group.get("sandboxes/:sandboxID") { _, context in
            Response.control(try await host.information(try context.sandboxID()).json)
        }
        group.get("sandboxes/:sandboxID/metrics") { request, context in
            let seconds = request.parameters
            let measurements = try await host.measurements(
                try context.sandboxID(), from: try seconds.number("start", in: 0 ... .max),
                to: try seconds.number("end", in: 0 ... .max))
            return Response.control(.array(measurements.map(\.json)))
        }
        addLogs(to: group)
    }

    private func list(_ parameters: QueryParameters) async throws -> Response {
        var query = SandboxQuery(metadata: try Self.metadata(parameters))
        let states = parameters.list("state")
        if !states.isEmpty {
            query.states = Set(
                try states.map { name in
                    guard let state = SandboxInformation.State(rawValue: name) else {
                        throw ControlFailure(400, "state has to be running or paused")
                    }
                    return state
                })
        }
        let most = Int64(SandboxQuery.maximumLimit)
        query.limit = Int(try parameters.number("limit", in: 1...most) ?? most)
        query.token = parameters["nextToken"]
        query.template = parameters["template"]
        if let text = parameters["startedAfter"] {
            guard let time = Timestamp(text: text) else {
                throw ControlFailure(400, "startedAfter is no time as RFC 3339 has it")
            }
            query.startedAfter = time.seconds * 1_000 + Int64(time.nanoseconds / 1_000_000)
        }
        if let order = parameters["order"] {
            guard ["asc", "desc"].contains(order) else { throw ControlFailure(400, "order has to be asc or desc") }
            query.isAscending = order == "asc"
        }
        let (rows, nextToken, running) = try await host.list(query)
        var headers: [String: String] = [:]
        if let nextToken { headers["X-Next-Token"] = nextToken }
        if let running { headers["X-Total-Running"] = "\(running)" }
        return Response.control(.array(rows.map(\.json)), headers: headers)
    }

    /// The notes to find sandboxes by: encoded one by one, joined, and encoded again as a whole, and so by the query.
    static func metadata(_ parameters: QueryParameters) throws(ControlFailure) -> [String: String] {
        guard let text = parameters["metadata"] else { return [:] }
        guard let joined = PercentEncoding.decode(text) else { throw ControlFailure(400, "metadata is not UTF-8") }
        var metadata: [String: String] = [:]
        for part in joined.split(separator: "&") {
            let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard pair.count == 2, let key = PercentEncoding.decode(pair[0]),
                let value = PercentEncoding.decode(pair[1])
            else { throw ControlFailure(400, "metadata has to be key=value, joined by &") }
            metadata[key] = value
        }
        return metadata
    }

    // MARK: logs

    private func addLogs(to group: RouterGroup<BasicRequestContext>) {
        group.get("sandboxes/:sandboxID/logs") { request, context in
            let parameters = request.parameters
            let most = Int64(LogQuery.maximumLimit)
            let query = LogQuery(
                cursor: try parameters.number("start", in: 0 ... .max),
                limit: Int(try parameters.number("limit", in: 0...most) ?? most))
            let lines = try await host.lines(try context.sandboxID(), query)
            return Response.control([
                "logs": .array(
                    lines.map { ["timestamp": .string(Self.time($0)), "line": .string($0.message)] }),
                "logEntries": .array(lines.map(Self.entry)),
            ])
        }
        group.get("v2/sandboxes/:sandboxID/logs") { request, context in
            let parameters = request.parameters
            let most = Int64(LogQuery.maximumLimit)
            var query = LogQuery(
                cursor: try parameters.number("cursor", in: 0 ... .max),
                limit: Int(try parameters.number("limit", in: 0...most) ?? most), isBackward: true,
                search: parameters["search"])
            if let direction = parameters["direction"] {
                guard ["forward", "backward"].contains(direction) else {
                    throw ControlFailure(400, "direction has to be forward or backward")
                }
                query.isBackward = direction == "backward"
            }
            if let name = parameters["level"] {
                guard let level = SandboxLog.Level(rawValue: name) else {
                    throw ControlFailure(400, "level has to be debug, info, warn or error")
                }
                query.level = level
            }
            let lines = try await host.lines(try context.sandboxID(), query)
            return Response.control(["logs": .array(lines.map(Self.entry))])
        }
    }

    private static func time(_ line: SandboxLog.Line) -> String {
        Timestamp(seconds: line.time / 1_000, nanoseconds: Int32(line.time % 1_000) * 1_000_000).text
    }

    private static func entry(_ line: SandboxLog.Line) -> JSONValue {
        [
            "timestamp": .string(time(line)), "level": .string(line.level.rawValue), "message": .string(line.message),
            "fields": ["source": .string(line.source)],
        ]
    }
}
