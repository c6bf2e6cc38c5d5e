import ArgumentParser
import Certificates
import ControlPlane
import DeploymentCore
import Foundation

/// `berth e2b`: what the environment of a tool written for E2B has to be.
struct E2BCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "e2b", abstract: "Print the environment with which E2B's SDKs use this machine's sandboxes.",
        discussion: """
            Starts the control plane where none runs. In a shell: eval "$(berth e2b)". Without --tls the SDKs are sent to \
            a plain port by E2B_API_URL, E2B_SANDBOX_URL and E2B_VOLUME_API_URL. With --tls they find everything by \
            E2B_DOMAIN, as at E2B; `berth tls` makes the certificate for that.
            """)

    @Flag(help: "The environment for TLS and names of sandboxes, instead of a plain port.")
    var tls = false

    @OptionGroup var output: OutputOptions

    func run() async throws { try await output.reporting { try await show() } }

    private func show() async throws {
        let configuration = try Connection.configuration()
        let key = try HostedSecrets.key(configuration)
        let endpoint = try await Connection.with(starting: true) { $0.endpoint }
        guard let port = endpoint.e2bPort else {
            throw BerthError(
                .unreachable, "the control plane has no open port for clients of sandboxes",
                suggestion: "\(configuration.path("serve.log")) says why; BERTH_E2B_PORT sets another port")
        }
        var environment = ["E2B_API_KEY": key]
        if tls {
            let certificates = CertificateStore(folder: configuration.path("tls"))
            guard let tlsPort = endpoint.e2bTLSPort, let domain = certificates.domain else {
                throw BerthError(
                    .unreachable, "the control plane serves clients of sandboxes without TLS",
                    suggestion: "run `berth tls` and start the control plane again")
            }
            environment["E2B_DOMAIN"] = "\(domain):\(tlsPort)"
            if certificates.isOwn { environment["SSL_CERT_FILE"] = certificates.authority }
        } else {
            let url = "http://\(Configuration.host):\(port)"
            environment["E2B_API_URL"] = url
            environment["E2B_SANDBOX_URL"] = url
            environment["E2B_VOLUME_API_URL"] = url
            // The names of ports then lead here as well.
            environment["E2B_DOMAIN"] = "localhost:\(port)"
        }
        try output.print(
            environment,
            environment.sorted { $0.key < $1.key }.map { "export \($0.key)=\(TLSCommand.quoted($0.value))" }
                .joined(separator: "\n"))
    }
}
