import DeploymentCore
import E2BProtocol
import HTTPTypes
import HostedSandboxes
import Hummingbird

/// The life of sandboxes: create, connect, pause, resume, time, network, end.
public struct SandboxRoutes: E2BRoutes {
    /// The seconds that a sandbox runs after `resume` unless the request says otherwise.
    private static let resumeTimeout: Int64 = 15

    let host: SandboxHost

    /// Creates the group.
    public init(host: SandboxHost) { self.host = host }

    /// Adds the routes.
    public func add(to group: RouterGroup<BasicRequestContext>) {
        group.post("sandboxes") { request, _ in try await create(request, .first) }
        group.post("v2/sandboxes") { request, _ in try await create(request, .second) }
        group.delete("sandboxes/:sandboxID") { _, context in
            try await host.kill(try context.sandboxID())
            return Response(status: .noContent)
        }
        group.post("sandboxes/:sandboxID/connect") { request, context in
            try await connect(try context.sandboxID(), request, defaultTimeout: nil)
        }
        group.post("v2/sandboxes/:sandboxID/connect") { request, context in
            try await connect(
                try context.sandboxID(), request, defaultTimeout: CreationVersion.second.defaultTimeout)
        }
        addPausing(to: group)
        addChanges(to: group)
    }

    private func create(_ request: Request, _ version: CreationVersion) async throws -> Response {
        let (json, bytes) = try await request.controlBody()
        let creation = try SandboxCreation(json: json)
        var key: CreationKey?
        if let given = HTTPField.Name("Idempotency-Key").flatMap({ request.headers[$0] }) {
            let digest = SHA256.hash(Array("\(version) ".utf8) + bytes)
            key = try CreationKey(given, digest: String(decoding: Base64.encode(digest), as: UTF8.self))
        }
        return Response.control(try await host.create(creation, version, key: key).json, status: .created)
    }

    private func connect(_ id: String, _ request: Request, defaultTimeout: Int64?) async throws -> Response {
        let json = try await request.controlBody().json
        guard let timeout = try json.whole("timeout") ?? defaultTimeout else {
            throw ControlFailure(400, "timeout is missing")
        }
        let (handle, isResumed) = try await host.connect(
            id, timeout: timeout, keepsMemory: try json.flag("memory") ?? true)
        return Response.control(handle.json, status: isResumed ? .created : .ok)
    }

    private func addPausing(to group: RouterGroup<BasicRequestContext>) {
        group.post("sandboxes/:sandboxID/pause") { request, context in
            let json = try await request.controlBody().json
            // A guest that does not stand still fails the pause in any case.
            _ = try json.flag("requireHealthyGuest")
            try await host.pause(try context.sandboxID(), keepsMemory: try json.flag("memory") ?? true)
            return Response(status: .noContent)
        }
        group.post("sandboxes/:sandboxID/resume") { request, context in
            let json = try await request.controlBody().json
            let handle = try await host.resume(
                try context.sandboxID(), timeout: try json.whole("timeout") ?? Self.resumeTimeout,
                pausesOnTimeout: try json.flag("autoPause"), keepsMemory: try json.flag("memory") ?? true)
            return Response.control(handle.json, status: .created)
        }
    }

    private func addChanges(to group: RouterGroup<BasicRequestContext>) {
        group.post("sandboxes/:sandboxID/timeout") { request, context in
            guard let timeout = try await request.controlBody().json.whole("timeout") else {
                throw ControlFailure(400, "timeout is missing")
            }
            try await host.setTimeout(try context.sandboxID(), timeout)
            return Response(status: .noContent)
        }
        group.post("sandboxes/:sandboxID/refreshes") { request, context in
            let duration = try await request.controlBody().json.whole("duration")
            try await host.refresh(try context.sandboxID(), duration ?? HostedSettings.shortestRefresh)
            return Response(status: .noContent)
        }
        group.put("sandboxes/:sandboxID/network") { request, context in
            let settings = try SandboxNetworkSettings(json: try await request.controlBody().json)
            try await host.setNetwork(try context.sandboxID(), settings)
            return Response(status: .noContent)
        }
    }
}

extension JSONValue {
    /// A member that has to be a whole number; nil when it is missing.
    ///
    /// - Throws: 400 when it, or this, is something else.
    public func whole(_ name: String) throws(ControlFailure) -> Int64? {
        guard object != nil else { throw ControlFailure(400, "the request body is not an object") }
        guard let value = self[name], value != .null else { return nil }
        guard let number = value.integer else { throw ControlFailure(400, "\(name) is not a whole number") }
        return number
    }

    /// A member that has to be true or false; nil when it is missing.
    ///
    /// - Throws: 400 when it, or this, is something else.
    public func flag(_ name: String) throws(ControlFailure) -> Bool? {
        guard object != nil else { throw ControlFailure(400, "the request body is not an object") }
        guard let value = self[name], value != .null else { return nil }
        guard let flag = value.bool else { throw ControlFailure(400, "\(name) is neither true nor false") }
        return flag
    }
}
