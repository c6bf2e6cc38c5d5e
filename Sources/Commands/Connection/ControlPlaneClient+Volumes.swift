import CurlClient
import DeploymentCore

extension ControlPlaneClient {
    /// Makes a volume; what is known of it, without its token.
    func makeVolume(_ name: String) async throws -> JSONValue {
        let json = try JSONValue(
            parsing: try await send("POST", "volumes", body: .bytes((["name": .string(name)] as JSONValue).encoded()))
                .body)
        return ["volumeID": json["volumeID"] ?? .null, "name": json["name"] ?? .null]
    }

    /// All volumes.
    func volumes() async throws -> [JSONValue] {
        try JSONValue(parsing: try await send("GET", "volumes").body).array ?? []
    }

    /// Removes a volume with its contents, by its name or id.
    ///
    /// - Throws: `not_found`, and `conflict` while a sandbox mounts it.
    func removeVolume(_ name: String) async throws {
        let found = try await volumes().first { $0["name"]?.string == name || $0["volumeID"]?.string == name }
        guard let id = found?["volumeID"]?.string else { throw BerthError(.notFound, "there is no volume \(name)") }
        _ = try await send("DELETE", "volumes/\(id)", timeout: nil)
    }
}
