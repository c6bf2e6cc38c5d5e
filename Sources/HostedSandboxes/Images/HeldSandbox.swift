import DeploymentCore
import E2BProtocol
import Sandboxes

/// A running sandbox as images need it.
public struct HeldSandbox: Sendable {
    /// The id.
    public var id: String
    /// What it was made from.
    public var image: SandboxImage
    /// Its agent, shown the token where one is set.
    public var agent: EnvdClient
    /// Whether it has a root of its own.
    public var hasRoot: Bool
    /// Whether its processes are the host's, with others beside them.
    public var sharesHost: Bool
    /// The home folder inside.
    public var home: String
    /// Paths of mounts inside, which belong to no image.
    public var mounts: [String]

    /// Describes a sandbox; `token` is what its agent asks for.
    ///
    /// - Throws: `sandbox` when it has no agent that could be asked.
    public init(_ sandbox: any Sandbox, image: SandboxImage, token: String? = nil, mounts: [String] = []) throws {
        guard let agent = sandbox.agent else {
            throw BerthError(.sandbox, "the sandbox \(sandbox.id) has no agent that could read its files")
        }
        id = sandbox.id
        self.image = image
        self.agent = token.map { agent.showing(token: $0) } ?? agent
        hasRoot = sandbox.ownsIdentities
        sharesHost = sandbox.isolation.sharesHost
        home = String(
            sandbox.appFolder.prefix(upTo: sandbox.appFolder.lastIndex(of: "/") ?? sandbox.appFolder.endIndex))
        self.mounts = mounts + image.mounts.map(\.target)
    }

    /// The agent as whoever may read and write every file.
    var owner: EnvdClient { hasRoot ? agent.acting(as: "root") : agent }
}

/// What images need of those who own sandboxes.
public protocol ImageSandboxes: Sendable {
    /// Keeps everybody else away from a running sandbox while `body` runs: its agent answers, but only to `body`.
    ///
    /// - Throws: a `ControlFailure`: 404 for none, 409 for one that is paused or about to change; and what `body` throws.
    func hold<Result: Sendable>(
        _ sandbox: String, _ body: @escaping @Sendable (HeldSandbox) async throws -> Result
    ) async throws -> Result

    /// Makes a sandbox like another one, from the image: the same variables, notes and rules.
    func copy(of sandbox: String, from image: SandboxImage, timeout: Int64) async throws -> SandboxHandle

    /// Writes down that a snapshot of a sandbox was made.
    func noteSnapshot(of sandbox: String, snapshot: String) async

    /// Makes a sandbox of nobody for a build, its files unpacked, and removes it whatever becomes of `body`.
    func withBuildSandbox<Result: Sendable>(
        _ image: SandboxImage, _ body: @escaping @Sendable (HeldSandbox) async throws -> Result
    ) async throws -> Result
}
