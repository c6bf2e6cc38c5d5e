import ArgumentParser
import ControlPlane
import CurlClient
import DeploymentCore
import E2BProtocol
import Foundation
import RemoteSandbox
import Sandboxes

/// Where `berth sandbox` finds sandboxes: both speak the same protocol.
enum RemoteAccount {
    /// Who makes sandboxes.
    enum Provider: String, ExpressibleByArgument, CaseIterable {
        /// The control plane of this machine, by its own E2B API.
        case local
        /// The service that the E2B_ variables name.
        case e2b
    }

    /// The file that holds the key of the control plane's E2B API.
    static let keyFile = "e2b.key"

    /// Runs `body` with a client.
    static func with<Result>(_ provider: Provider, _ body: (E2BClient) async throws -> Result) async throws -> Result {
        let account =
            switch provider {
            case .e2b: try E2BAccount(environment: ProcessInfo.processInfo.environment)
            case .local: try await local()
            }
        let curl = CurlClient()
        defer { curl.close() }
        return try await body(E2BClient(account: account, curl: curl))
    }

    private static func local() async throws -> E2BAccount {
        let configuration = try Connection.configuration()
        guard let endpoint = try await Connection.runningEndpoint(configuration),
            let text = try? String(contentsOfFile: configuration.path(keyFile), encoding: .utf8)
        else {
            throw BerthError(
                .unreachable, "no control plane runs for \(configuration.home)",
                suggestion: "run `berth serve`, or name a service with --provider e2b")
        }
        guard let port = endpoint.e2bPort else {
            throw BerthError(
                .unreachable, "the control plane does not listen for clients of sandboxes",
                suggestion: "\(configuration.path("serve.log")) says why; BERTH_E2B_PORT sets another port")
        }
        let url = "http://\(Configuration.host):\(port)"
        return E2BAccount(
            key: text.trimmingCharacters(in: .whitespacesAndNewlines), controlURL: url, sandboxURL: url)
    }
}
