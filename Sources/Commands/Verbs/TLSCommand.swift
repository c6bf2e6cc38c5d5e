import ArgumentParser
import Certificates
import ControlPlane
import DeploymentCore
import Foundation

/// `berth tls`: the certificate that clients of hosted sandboxes reach them under.
struct TLSCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tls", abstract: "Make the certificate that E2B's SDKs reach sandboxes under, or bring your own.",
        discussion: """
            Makes an authority of this machine's own and a certificate for the domain and the names below it, in \
            BERTH_HOME/tls. Run again, it keeps what is good for 30 more days. The control plane reads it when it starts.
            """)

    @Option(help: "The domain that sandboxes are named below.")
    var domain: String?

    @Option(help: "A certificate of your own as PEM, those that vouch for it behind it.", completion: .file())
    var certificate: String?

    @Option(help: "The private key of that certificate as PEM.", completion: .file())
    var key: String?

    @Flag(help: "Make a new certificate, however long the old one is good.")
    var renew = false

    @OptionGroup var output: OutputOptions

    /// What is printed as JSON.
    private struct Result: Encodable {
        var outcome: String
        var domain: String
        var certificate: String
        var authority: String?
        var environment: [String: String]
    }

    func validate() throws {
        guard (certificate == nil) == (key == nil) else {
            throw ValidationError("--certificate and --key go together")
        }
        guard !renew || certificate == nil else { throw ValidationError("--renew makes one, --certificate brings one") }
    }

    func run() async throws { try await output.reporting { try prepare() } }

    private func prepare() throws {
        let configuration = try Connection.configuration()
        let store = CertificateStore(folder: configuration.path("tls"))
        let domain = domain ?? store.domain ?? CertificateStore.defaultDomain
        let outcome: CertificateStore.Outcome
        if let certificate, let key {
            outcome = try store.take(certificate: certificate, key: key, domain: domain)
        } else {
            outcome = try store.prepare(domain: domain, renewing: renew)
        }
        let port = ProcessInfo.processInfo.environment["BERTH_E2B_TLS_PORT"].flatMap { Int($0) } ?? 4981
        var environment = ["E2B_DOMAIN": "\(store.domain ?? domain):\(port)"]
        if store.isOwn { environment["SSL_CERT_FILE"] = store.authority }
        let result = Result(
            outcome: outcome.rawValue, domain: store.domain ?? domain, certificate: store.certificate,
            authority: store.isOwn ? store.authority : nil, environment: environment)
        let exports = environment.sorted { $0.key < $1.key }.map { "export \($0.key)=\(Self.quoted($0.value))" }
        let advice = outcome == .kept ? [] : ["# a control plane that runs takes it over when it is started again"]
        try output.print(
            result,
            (["# \(outcome.rawValue): \(store.certificate)"] + advice + exports).joined(separator: "\n"))
    }

    /// A value as a shell reads it.
    static func quoted(_ text: String) -> String {
        let isPlain = text.utf8.allSatisfy { byte in
            (0x61...0x7A).contains(byte) || (0x41...0x5A).contains(byte) || (0x2D...0x3A).contains(byte) || byte == 0x5F
        }
        return isPlain ? text : "'" + text.replacingOccurrences(of: "'", with: "'\\''") + "'"
    }
}
