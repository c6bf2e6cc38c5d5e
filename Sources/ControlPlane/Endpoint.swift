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

    /// Creates an endpoint.
    public init(apiPort: Int, gatewayPort: Int, pid: Int32) {
        self.apiPort = apiPort
        self.gatewayPort = gatewayPort
        self.pid = pid
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
        let path = configuration.path("token")
        try FileManager.default.createDirectory(
            atPath: configuration.home, withIntermediateDirectories: true,
            attributes: [.posixPermissions: 0o700])
        if access(path, F_OK) != 0 { try make(path) }
        var status = stat()
        guard stat(path, &status) == 0, status.st_mode & 0o077 == 0 else {
            throw BerthError(
                .internalError, "the token file \(path) can be read by others", suggestion: "chmod 600 \(path)")
        }
        guard let text = try? String(contentsOfFile: path, encoding: .utf8), text.utf8.count == 64 else {
            throw BerthError(.internalError, "the token file \(path) is damaged", suggestion: "remove it and try again")
        }
        return text
    }

    /// Makes the file whole or not at all; when two make it at once, the first one counts.
    private static func make(_ path: String) throws {
        var generator = SystemRandomNumberGenerator()
        let token = (0..<4).map { _ in
            let word = String(generator.next() as UInt64, radix: 16)
            return String(repeating: "0", count: 16 - word.count) + word
        }.joined()
        let draft = "\(path).\(getpid())"
        defer { unlink(draft) }
        let descriptor = open(draft, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0o600)
        let written = token.withCString { descriptor < 0 ? -1 : write(descriptor, $0, strlen($0)) }
        let isSynced = descriptor >= 0 && fsync(descriptor) == 0
        if descriptor >= 0 { close(descriptor) }
        guard written == token.utf8.count, isSynced, link(draft, path) == 0 || errno == EEXIST else {
            throw BerthError(
                .storageFull, "cannot write \(path): \(String(cString: strerror(errno)))",
                suggestion: "make room under BERTH_HOME, or set it to a folder of yours")
        }
    }

    /// Compares in a time that does not depend on where the texts differ.
    static func matches(_ given: String, _ expected: String) -> Bool {
        let left = Array(given.utf8)
        let right = Array(expected.utf8)
        guard left.count == right.count else { return false }
        return zip(left, right).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
    }
}
