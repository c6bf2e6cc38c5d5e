import DeploymentCore
import SandboxGateway

/// The front door of clients of sandboxes, while it is open.
struct HostedGateway: Sendable {
    /// The port without TLS.
    let port: Int
    /// The port with TLS; nil without a certificate.
    let tlsPort: Int?
    /// Lets requests in flight come to their end, for so long.
    let stop: @Sendable (_ grace: Duration) async -> Void

    /// Opens the front door; nil where nothing can be opened, as `log` was told.
    ///
    /// - Throws: `conflict` when a port that was asked for by its number is taken.
    static func open(
        _ configuration: Configuration, doors: any SandboxDoors, socket: String, log: @Sendable (String) -> Void
    ) async throws -> HostedGateway? {
        nil
    }
}
