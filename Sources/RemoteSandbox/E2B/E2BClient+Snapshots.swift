import CurlClient
import DeploymentCore
import E2BProtocol

extension E2BClient {
    /// Keeps a sandbox as it is, to make others from; its id can be used as a template.
    ///
    /// - Parameter name: the name of the snapshot; nil leaves it without one.
    public func createSnapshot(of id: String, name: String? = nil) async throws -> E2BSnapshot {
        try await ask(
            Call(
                method: "POST", path: "/sandboxes/\(URLText.escaped(id))/snapshots",
                body: name.map { ["name": .string($0)] } ?? [:], wish: "snapshot sandbox \(VisibleText.of(id))"))
    }

    /// The snapshots of a sandbox, or all of them; one page.
    public func snapshots(of id: String? = nil) async throws -> [E2BSnapshot] {
        let query = id.map { [(name: "sandboxID", value: $0)] } ?? []
        let wish = "list snapshots"
        let reply = try await send(Call(method: "GET", path: "/snapshots", query: query, wish: wish))
        do {
            return try (try JSONValue(parsing: reply.body)).array?.map(E2BSnapshot.init(json:)) ?? []
        } catch {
            throw Self.misunderstood(wish, error)
        }
    }

    /// Removes a snapshot; false when there is none.
    @discardableResult
    public func deleteSnapshot(_ id: String) async throws -> Bool {
        do {
            _ = try await send(
                Call(
                    method: "DELETE", path: "/templates/\(URLText.escaped(id))",
                    wish: "delete snapshot \(VisibleText.of(id))"))
            return true
        } catch let error as BerthError where error.code == .notFound {
            return false
        }
    }
}

/// A snapshot of a sandbox.
public struct E2BSnapshot: WireMessage, Equatable {
    /// Its id, as `team/name:default`.
    public var id: String
    /// Its names.
    public var names: [String]

    /// Reads the message.
    public init(json: JSONValue) throws(ConnectError) {
        guard let id = json["snapshotID"]?.string, !id.isEmpty else {
            throw ConnectError(.invalidArgument, "snapshotID is missing")
        }
        self.id = id
        names = json["names"]?.array?.compactMap(\.string) ?? []
    }

    /// The message as JSON.
    public var json: JSONValue { ["snapshotID": .string(id), "names": .array(names.map { .string($0) })] }
}
