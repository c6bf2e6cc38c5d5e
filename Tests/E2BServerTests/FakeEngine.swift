import BerthTestSupport
import CurlClient
import DeploymentCore
import Sandboxes

/// An engine whose sandboxes are entries of a table, with one agent that agrees to everything.
final class FakeEngine: SandboxProvider {
    let name = "fake"
    let specifications = Locked<[String: SandboxSpecification]>([:])
    private let agent: ScriptedHTTPServer
    private let socket: String
    private let curl: CurlClient

    init(folder: String, curl: CurlClient) throws {
        self.curl = curl
        socket = "\(folder)/agent.sock"
        agent = try ScriptedHTTPServer(unixPath: socket) { request in
            ScriptedAnswer(request.path.hasPrefix("/files") ? 200 : 204)
        }
    }

    func close() { agent.close() }

    func capabilities(demanding minimum: Isolation?) async throws -> SandboxCapabilities {
        SandboxCapabilities(isolation: .namespaces, mounts: true, ownNetwork: true, network: .filtered)
    }
    func create(_ specification: SandboxSpecification) async throws -> any Sandbox {
        specifications.withLock { $0[specification.id] = specification }
        return FakeSandbox(
            id: specification.id,
            agent: EnvdClient(client: curl, baseURL: "http://localhost", transport: .unixSocket(socket)))
    }
    func list() async throws -> [SandboxRecord] { [] }
    func adopt(_ id: String) async throws -> any Sandbox { throw BerthError(.notFound, "there is no sandbox \(id)") }
    func assign(
        _ id: String, labels: SandboxLabels, models: [SandboxSpecification.Mount]
    ) async throws -> [String: String] { [:] }
    func destroy(_ id: String) async throws { specifications.withLock { $0[id] = nil } }
}

/// A sandbox that is an entry of a table.
struct FakeSandbox: Sandbox {
    let id: String
    let appFolder = "/home/user/app"
    let port = 49_999
    let isolation = Isolation.namespaces
    let agent: EnvdClient?

    func path(of mount: SandboxSpecification.Mount) -> String { mount.target }
    func pause() async throws {}
    func resume() async throws {}
    func permit(_ access: NetworkAccess) async throws {}
    func write(_ bytes: [UInt8], to path: String, executable: Bool) async throws {}
    func read(_ path: String, limit: Int) async throws -> [UInt8] { [] }
    func start(_ process: ProcessSpecification) async throws -> any SandboxProcess {
        throw BerthError(.sandbox, "nothing is started here")
    }
    func process(tagged tag: String) async throws -> any SandboxProcess {
        throw BerthError(.notFound, "nothing runs here")
    }
    func connect(port: Int) async throws -> Int32 { throw PortRefused(port: port) }
    func listeners() async throws -> [Listener] { [] }
}
