import CurlClient
import DeploymentCore
import E2BProtocol
import Sandboxes

/// Which sandboxes are meant.
public struct E2BFilter: Sendable, Equatable {
    /// Notes that a sandbox has to carry, all of them.
    public var metadata: [String: String]
    /// How it has to be; empty is running or paused.
    public var states: [SandboxInformation.State]
    /// The most of one answer, 1 to 100; nil leaves it to the service.
    public var limit: Int?

    /// Creates a filter.
    public init(metadata: [String: String] = [:], states: [SandboxInformation.State] = [], limit: Int? = nil) {
        self.metadata = metadata
        self.states = states
        self.limit = limit
    }
}

extension E2BClient {
    /// The most pages that are read of one list.
    static let maximumPages = 1_000

    /// Makes a sandbox.
    ///
    /// - Parameter key: told to the service as `Idempotency-Key`: lower-case letters, digits and `-`.
    public func create(_ creation: SandboxCreation, key: String? = nil) async throws -> SandboxHandle {
        let headers = key.map { [(name: "Idempotency-Key", value: $0)] } ?? []
        return try await ask(
            Call(
                method: "POST", path: "/v2/sandboxes", body: creation.json, headers: headers,
                wish: "create a sandbox from \(VisibleText.of(creation.template))", isSentOnce: true))
    }

    /// Takes hold of a sandbox, resuming it where it is paused; its time is never shortened by it.
    public func connect(_ id: String, timeout seconds: Int64? = nil) async throws -> SandboxHandle {
        let body: JSONValue = seconds.map { ["timeout": .integer($0)] } ?? [:]
        return try await ask(
            Call(
                method: "POST", path: "/v2/sandboxes/\(URLText.escaped(id))/connect", body: body,
                wish: "connect to sandbox \(VisibleText.of(id))"))
    }

    /// The agent of a sandbox.
    ///
    /// - Parameter user: whom processes belong to; nil is the sandbox's own user.
    public func agent(of handle: SandboxHandle, as user: String? = nil) -> EnvdClient {
        account.agent(of: handle, client: curl, user: user)
    }

    /// What is known of a sandbox.
    public func sandbox(_ id: String) async throws -> SandboxInformation {
        try await ask(
            Call(
                method: "GET", path: "/sandboxes/\(URLText.escaped(id))", wish: "look at sandbox \(VisibleText.of(id))")
        )
    }

    /// All sandboxes that a filter lets through, page by page, newest first.
    public func sandboxes(_ filter: E2BFilter = E2BFilter()) async throws -> [SandboxInformation] {
        var found: [SandboxInformation] = []
        var token: String?
        for _ in 0..<Self.maximumPages {
            let page = try await page(filter, after: token)
            found += page.items
            guard let next = page.next else { return found }
            token = next
        }
        throw BerthError(.tooLarge, "E2B lists more than \(Self.maximumPages) pages of sandboxes")
    }

    /// One page of the list, and what the next one is asked for by; nil behind the last.
    public func page(
        _ filter: E2BFilter, after token: String? = nil
    ) async throws -> (items: [SandboxInformation], next: String?) {
        var query: [(name: String, value: String)] = []
        if !filter.metadata.isEmpty { query.append((name: "metadata", value: Self.text(of: filter.metadata))) }
        if !filter.states.isEmpty {
            query.append((name: "state", value: filter.states.map(\.rawValue).joined(separator: ",")))
        }
        if let limit = filter.limit { query.append((name: "limit", value: "\(limit)")) }
        if let token { query.append((name: "nextToken", value: token)) }
        let wish = "list sandboxes"
        let reply = try await send(Call(method: "GET", path: "/v2/sandboxes", query: query, wish: wish))
        do {
            let items = try (try JSONValue(parsing: reply.body)).array.map {
                try $0.map(SandboxInformation.init(json:))
            }
            let next = reply.headers["X-Next-Token"].flatMap { $0.isEmpty ? nil : $0 }
            return (try items ?? { throw ConnectError(.invalidArgument, "no list") }(), next)
        } catch {
            throw Self.misunderstood(wish, error)
        }
    }

    /// Notes as a query has them: each side encoded, joined, and encoded again as a form (protocol note 1.7).
    static func text(of metadata: [String: String]) -> String {
        metadata.sorted { $0.key < $1.key }.map { key, value in
            let sides = [key, value].map { URLText.escaped(URLText.escaped($0, keeping: "/")) }
            return sides.joined(separator: "=")
        }.joined(separator: "&")
    }

    /// Ends a sandbox; false when there is none.
    @discardableResult
    public func kill(_ id: String) async throws -> Bool {
        try await unless(.notFound) {
            try await send(
                Call(
                    method: "DELETE", path: "/sandboxes/\(URLText.escaped(id))",
                    wish: "kill sandbox \(VisibleText.of(id))"))
        }
    }

    /// Sets how long a sandbox lives from now on.
    public func setTimeout(of id: String, to seconds: Int64) async throws {
        _ = try await send(
            Call(
                method: "POST", path: "/sandboxes/\(URLText.escaped(id))/timeout", body: ["timeout": .integer(seconds)],
                wish: "extend the time of sandbox \(VisibleText.of(id))"))
    }

    /// Pauses a sandbox; false when it is paused already.
    @discardableResult
    public func pause(_ id: String) async throws -> Bool {
        try await unless(.conflict) {
            try await send(
                Call(
                    method: "POST", path: "/sandboxes/\(URLText.escaped(id))/pause", body: [:],
                    wish: "pause sandbox \(VisibleText.of(id))"))
        }
    }

    /// Says anew what a sandbox may reach; what is left out is taken back.
    public func setNetwork(of id: String, to settings: SandboxNetworkSettings) async throws {
        _ = try await send(
            Call(
                method: "PUT", path: "/sandboxes/\(URLText.escaped(id))/network", body: settings.json,
                wish: "change what sandbox \(VisibleText.of(id)) may reach"))
    }

    /// What a sandbox used, oldest first.
    public func measurements(of id: String) async throws -> [SandboxMeasurement] {
        let wish = "measure sandbox \(VisibleText.of(id))"
        let reply = try await send(
            Call(method: "GET", path: "/sandboxes/\(URLText.escaped(id))/metrics", wish: wish))
        do {
            return try (try JSONValue(parsing: reply.body)).array?.map(SandboxMeasurement.init(json:)) ?? []
        } catch {
            throw Self.misunderstood(wish, error)
        }
    }

    /// False when the call fails with `code`.
    private func unless(_ code: BerthError.Code, _ body: () async throws -> HTTPReply) async throws -> Bool {
        do {
            _ = try await body()
            return true
        } catch let error as BerthError where error.code == code {
            return false
        }
    }
}
