import Certificates
import DeploymentCore
import SandboxGateway

/// The front door of clients of sandboxes, while it is open.
struct HostedGateway: Sendable {
    /// The port without TLS.
    let port: Int
    /// The port with TLS; nil without a certificate.
    let tlsPort: Int?
    private let gateway: SandboxGateway

    /// Opens the front door, with TLS where `berth tls` made a certificate.
    ///
    /// - Throws: `conflict` when a port is taken, `usage` for a certificate that cannot be used.
    static func open(
        _ configuration: Configuration, doors: any SandboxDoors, socket: String
    ) async throws -> HostedGateway {
        let certificates = CertificateStore(folder: configuration.path("tls"))
        var settings = SandboxGateway.Configuration(
            host: Configuration.host, port: configuration.e2bPort ?? Configuration.defaultE2BPort,
            controlSocket: socket)
        if let domain = certificates.domain {
            settings.domain = domain
            settings.tls = SandboxGateway.TLSFiles(
                port: configuration.e2bTLSPort ?? Configuration.defaultE2BTLSPort,
                certificate: certificates.certificate, key: certificates.key)
        }
        let gateway = SandboxGateway(configuration: settings, doors: doors)
        let (port, tlsPort) = try await gateway.start()
        return HostedGateway(port: port, tlsPort: tlsPort, gateway: gateway)
    }

    /// Lets requests in flight come to their end, for so long.
    func stop(grace: Duration) async { await gateway.stop(grace: grace) }
}
