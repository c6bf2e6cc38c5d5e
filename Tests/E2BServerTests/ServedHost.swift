import BerthTestSupport
import CurlClient
import DeploymentCore
import DeploymentStore
import Foundation
import HostedSandboxes
import Hummingbird
import Waiting

@testable import E2BServer

/// The routes on a unix socket, and a client of them.
struct ServedHost: Sendable {
    static let key = "e2b_0123456789abcdef0123456789abcdef01234567"

    let host: SandboxHost
    let volumes: Volumes
    let engine: FakeEngine
    let curl: CurlClient
    let socket: String

    static func with(
        _ settings: HostedSettings = HostedSettings(), _ body: @escaping @Sendable (ServedHost) async throws -> Void
    ) async throws {
        try await withTemporaryFolder { folder in
            let curl = CurlClient()
            let engine = try FakeEngine(folder: folder, curl: curl)
            defer {
                curl.close()
                engine.close()
            }
            let now: @Sendable () -> Int64 = { Int64(Date().timeIntervalSince1970 * 1_000) }
            let store = try DeploymentStore(path: "\(folder)/berth.sqlite")
            let images = ImageStore(
                store: store, folder: "\(folder)/images", builtIn: ["base": { BuiltInImages.base }], now: now)
            let tokens = SandboxTokens(seed: Array(repeating: 3, count: 32))
            let host = SandboxHost(
                SandboxHost.Surroundings(
                    store: store, provider: engine, images: BuiltInImages(), files: images,
                    volumes: "\(folder)/volumes", tokens: tokens, now: now),
                settings: settings)
            let volumes = Volumes(
                store: store, provider: engine, folder: "\(folder)/volumes", tokens: tokens, now: now)
            let served = ServedHost(
                host: host, volumes: volumes, engine: engine, curl: curl, socket: "\(folder)/e2b.sock")
            try await served.serve { try await body(served) }
            await host.close()
        }
    }

    private func serve(_ body: @escaping @Sendable () async throws -> Void) async throws {
        let listening = Promise<Void>()
        let application = Application(
            router: E2BRouter.make(
                key: Self.key,
                [
                    SandboxRoutes(host: host), SandboxLookRoutes(host: host), VolumeRoutes(volumes), EchoRoutes(),
                ]),
            configuration: ApplicationConfiguration(address: .unixDomainSocket(path: socket)),
            onServerRunning: { _ in listening.fulfil(()) })
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await application.run() }
            group.addTask {
                await listening.wait()
                try await body()
            }
            try await group.next()
            group.cancelAll()
            while let result = await group.nextResult() { _ = result }
        }
    }
}

/// A group that tells what it heard in a segment.
private struct EchoRoutes: E2BRoutes {
    func add(to group: RouterGroup<BasicRequestContext>) {
        group.get("echo/:name") { _, context in
            Response.control(["name": .string(try context.pathSegment("name"))])
        }
    }
}
