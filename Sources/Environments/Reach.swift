import DeploymentCore
import Foundation

/// What a program that handles packages may touch of this machine beyond the system's own programs and libraries.
public struct Reach: Sendable, Equatable {
    /// Files and folders that it reads, absolute; one that is not there is left out.
    public var readable: [String]
    /// Folders that it writes, absolute.
    public var writable: [String]
    /// Whether it may use the host's network.
    public var network: Bool
}

/// Walls around programs: the words to put before a command so that it has no more than a reach.
public typealias Walls = @Sendable (Reach) -> [String]

extension Uv {
    /// The parts of a machine that downloading and unpacking a lock takes: settings, credentials, and local wheels.
    func reach(installing lock: Lock, with interpreter: Interpreter) -> Reach {
        let home = environment["HOME"] ?? ""
        let settings = environment["XDG_CONFIG_HOME"] ?? "\(home)/.config"
        let data = environment["XDG_DATA_HOME"] ?? "\(home)/.local/share"
        let named = ["SSL_CERT_FILE", "SSL_CERT_DIR", "UV_CONFIG_FILE"].compactMap { environment[$0] }
        let links = (environment["UV_FIND_LINKS"] ?? "").split { $0 == "," || $0 == " " }.map(String.init)
        let wheels = lock.pins.compactMap { $0.requirement.firstMatch(of: /@ (file:\S+)/).map { String($0.1) } }
        let local = (links + wheels).map { URL(string: $0).flatMap { $0.isFileURL ? $0.path : nil } ?? $0 }
        let readable =
            named + local + [
                executable, environment["NETRC"] ?? "\(home)/.netrc", "\(settings)/uv", "\(data)/uv/credentials",
                "/etc/uv",
            ]
        return Reach(
            readable: readable.filter { $0.hasPrefix("/") } + (interpreter.visiblePrefix.map { [$0] } ?? []),
            writable: [cache], network: true)
    }

    /// Whether downloads ask a program of the user's session for credentials, which no wall can let through.
    var asksSessionForCredentials: Bool { environment["UV_KEYRING_PROVIDER"] == "subprocess" }
}
