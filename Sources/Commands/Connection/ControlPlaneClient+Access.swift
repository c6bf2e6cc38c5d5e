import ControlAPI
import CurlClient
import DeploymentCore
import Sandboxes

extension ControlPlaneClient {
    /// Where a deployment's app runs, and with which variables.
    func access(_ name: String) async throws -> AccessResource { try await get("deployments/\(name)/access") }

    /// The agent in a deployment's sandbox, through the API.
    ///
    /// - Parameter user: whom to act as inside; nil is the sandbox's own user.
    func agent(of name: String, as user: String? = nil) -> EnvdClient {
        var headers = [(name: "Authorization", value: "Bearer \(token)")]
        if let user { headers.append((name: "Berth-User", value: user)) }
        return EnvdClient(
            client: curl, baseURL: "\(base)/deployments/\(name)/agent", transport: .network(.loopback),
            headers: headers)
    }

    /// What a deployment uses, or all of them.
    ///
    /// - Parameter samples: how many earlier samples of each; nil is all that are kept.
    func statistics(_ name: String?, samples: Int?) async throws -> [StatisticsResource] {
        let query = samples.map { "?samples=\($0)" } ?? ""
        guard let name else { return try await get("statistics\(query)") }
        return [try await get("deployments/\(name)/statistics\(query)")]
    }

    /// Freezes a deployment once its requests have ended.
    func pause(_ name: String) async throws -> DeploymentResource {
        try decode(try await send("POST", "deployments/\(name)/pause", timeout: .seconds(660)))
    }

    /// Moves the time at which a deployment is destroyed; nil milliseconds take it back.
    func extend(_ name: String, milliseconds: Int64?, isExact: Bool) async throws -> DeploymentResource {
        let request = ExpiryRequest(milliseconds: milliseconds, isExact: isExact)
        return try await post("deployments/\(name)/expiry", request)
    }

    /// What happened to a deployment, or to all of them, oldest first.
    func lifecycle(_ name: String?, limit: Int) async throws -> [LifecycleResource] {
        try await get("events?limit=\(limit)" + (name.map { "&deployment=\($0)" } ?? ""))
    }

    /// Lets a paused deployment go on.
    func resume(_ name: String) async throws -> DeploymentResource {
        try decode(try await send("POST", "deployments/\(name)/resume"))
    }
}
