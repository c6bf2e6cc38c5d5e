import ControlPlane
import DeploymentCore
import Foundation
import Testing

/// Two control planes: the near one deploys to the far one, over a network that can be made to fail.
struct Circle: Sendable {
    let near: CLI
    let far: CLI
    let network: BadNetwork
    /// What names the far side to the near one.
    let variables: [String: String]

    /// A sandbox of the far side, as its owner sees it.
    struct Row: Decodable {
        var sandbox: String
        var state: String
        var labels: [String: String]
    }

    /// Runs `body` with a control plane that serves E2B's protocol, and the variables that name it.
    static func withFarSide(
        _ body: (_ far: CLI, _ variables: [String: String]) async throws -> Void
    ) async throws {
        try await CLI.with(.namespaces) { far in
            let server = try await far.serve()
            try await body(far, try variables(far, at: "http://127.0.0.1:\(try port(far))"))
            _ = try await far("down")
            _ = await server.outcome()
        }
    }

    private static func port(_ far: CLI) throws -> Int { try #require(try far.endpoint().e2bPort) }

    private static func variables(_ far: CLI, at url: String) throws -> [String: String] {
        let key = try String(contentsOfFile: "\(far.home)/e2b.key", encoding: .utf8)
        return [
            "E2B_API_KEY": key.trimmingCharacters(in: .whitespacesAndNewlines), "E2B_API_URL": url,
            "E2B_SANDBOX_URL": url,
        ]
    }

    static func sandboxes(_ far: CLI) async throws -> [Row] { try await far.json([Row].self, "sandbox", "list") }

    /// Runs `body` with both sides and the network between them; in the end nothing is left on either.
    static func with(_ body: (Circle) async throws -> Void) async throws {
        try await withFarSide { far, _ in
            let network = try BadNetwork(to: try port(far))
            defer { network.close() }
            try await CLI.with { near in
                let variables = try variables(far, at: network.url)
                let server = try await near.serve(environment: variables)
                try await body(Circle(near: near, far: far, network: network, variables: variables))
                _ = try await near("down")
                _ = await server.outcome()
            }
            #expect(try await sandboxes(far).isEmpty)
        }
    }

    /// What is there on the far side.
    func sandboxes() async throws -> [Row] { try await Self.sandboxes(far) }
}
