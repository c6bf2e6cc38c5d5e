import Certificates
import DeploymentCore
import Foundation
import SandboxGateway

/// The front door of clients of sandboxes, while it is open.
struct HostedGateway: Sendable {
    /// The port without TLS.
    let port: Int
    /// The port with TLS; nil without a certificate.
    let tlsPort: Int?
    /// What the hosts of sandboxes are below, with the port of TLS; nil without a certificate.
    let domain: String?
    private let gateway: SandboxGateway

    /// Opens the front door.
    ///
    /// - Throws: `conflict` when a port is taken, `usage` for a certificate that is none.
    static func open(
        _ configuration: Configuration, doors: any SandboxDoors, socket: String
    ) async throws -> HostedGateway {
        let certificates = CertificateStore(folder: configuration.path("tls"))
        let domain = certificates.domain
        let tls = domain.map { _ in
            SandboxGateway.TLSFiles(
                port: configuration.e2bTLSPort ?? Configuration.defaultE2BTLSPort,
                certificate: certificates.certificate,
                key: certificates.key)
        }
        let gateway = SandboxGateway(
            configuration: SandboxGateway.Configuration(
                host: Configuration.host, port: configuration.e2bPort ?? Configuration.defaultE2BPort, tls: tls,
                controlSocket: socket, domain: domain ?? CertificateStore.defaultDomain),
            doors: doors)
        let ports = try await gateway.start()
        let named = domain.flatMap { domain in ports.tlsPort.map { "\(domain):\($0)" } }
        return HostedGateway(port: ports.port, tlsPort: ports.tlsPort, domain: named, gateway: gateway)
    }

    /// Lets requests in flight come to their end, for so long.
    func stop(grace: Duration) async { await gateway.stop(grace: grace) }
}
