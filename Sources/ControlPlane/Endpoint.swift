import DeploymentCore
import Foundation

/// How a client finds the control plane of its user: the ports in `server.json`, the secret in `token`.
public struct Endpoint: Codable, Sendable, Equatable {
    /// The port of the API.
    public var apiPort: Int
    /// The port of the gateway.
    public var gatewayPort: Int
    /// The process that serves.
    public var pid: Int32
    /// The port of clients of sandboxes, without TLS; nil when it is not open.
    public var e2bPort: Int?
    /// The port of clients of sandboxes, with TLS; nil when it is not open.
    public var e2bTLSPort: Int?

    /// Creates an endpoint.
    public init(apiPort: Int, gatewayPort: Int, pid: Int32, e2bPort: Int? = nil, e2bTLSPort: Int? = nil) {
        self.apiPort = apiPort
        self.gatewayPort = gatewayPort
        self.pid = pid
        self.e2bPort = e2bPort
        self.e2bTLSPort = e2bTLSPort
    }

    /// The endpoint that the last control plane of this home wrote; nil when there is none.
    public static func read(from configuration: Configuration) -> Endpoint? {
        guard let data = FileManager.default.contents(atPath: configuration.path("server.json")) else { return nil }
        return try? JSONDecoder().decode(Endpoint.self, from: data)
    }

    func write(to configuration: Configuration) throws {
        try JSONEncoder().encode(self).write(
            to: URL(fileURLWithPath: configuration.path("server.json")), options: .atomic)
    }

    static func remove(from configuration: Configuration) {
        try? FileManager.default.removeItem(atPath: configuration.path("server.json"))
    }
}

/// The secret between the clients of one user and their control plane: 32 random bytes in a 0600 file.
public enum Token {
    /// The token of this home, made when there is none.
    ///
    /// - Throws: `internal_error` when the file can be read by others or not at all.
    public static func load(from configuration: Configuration) throws -> String {
        try SecretFile(path: configuration.path("token"), name: "token").load {
            SecretFile.random(32)
        } isWhole: {
            $0.utf8.count == 64
        }
    }
}
