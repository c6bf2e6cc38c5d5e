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

    /// The port of the control plane's E2B API unless `BERTH_E2B_PORT` says otherwise.
    static let localPort = 4980
    /// The file that holds its key.
    static let keyFile = "e2b.key"

    /// Runs `body` with a client.
    static func with<Result>(_ provider: Provider, _ body: (E2BClient) async throws -> Result) async throws -> Result {
        let variables = ProcessInfo.processInfo.environment
        let account: E2BAccount
        switch provider {
        case .e2b: account = try E2BAccount(environment: variables)
        case .local: account = try local(variables)
        }
        let curl = CurlClient()
        defer { curl.close() }
        return try await body(E2BClient(account: account, curl: curl))
    }

    private static func local(_ variables: [String: String]) throws -> E2BAccount {
        let configuration = try Connection.configuration()
        let missing = BerthError(
            .unreachable, "no control plane runs for \(configuration.home)",
            suggestion: "run `berth serve`, or name a service with --provider e2b")
        guard Connection.isRunning(configuration),
            let text = try? String(contentsOfFile: configuration.path(keyFile), encoding: .utf8)
        else { throw missing }
        let key = text.trimmingCharacters(in: .whitespacesAndNewlines)
        let port = variables["BERTH_E2B_PORT"].flatMap { Int($0) } ?? localPort
        let url = "http://\(Configuration.host):\(port)"
        return E2BAccount(key: key, controlURL: url, sandboxURL: url)
    }
}
