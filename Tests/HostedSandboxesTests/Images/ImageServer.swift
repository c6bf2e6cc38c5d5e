import E2BServer
import Hummingbird
import NIOCore
import Testing
import Waiting

@testable import HostedSandboxes

/// The key of the server.
let imageServerKey = "e2b_" + String(repeating: "0", count: 40)

/// The routes of images behind a real listener.
func withImageServer(_ bench: ImageBench, _ body: (String) async throws -> Void) async throws {
    let router = E2BRouter.make(
        key: imageServerKey, [SnapshotRoutes(bench.snapshots), TemplateRoutes(bench.templates)])
    let port = Promise<Int>()
    let application = Application(
        router: router, configuration: .init(address: .hostname("127.0.0.1", port: 0)),
        onServerRunning: { channel in port.fulfil(channel.localAddress?.port ?? 0) })
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await application.runService(gracefulShutdownSignals: []) }
        let number = try #require(await port.wait())
        do {
            try await body("http://127.0.0.1:\(number)")
        } catch {
            group.cancelAll()
            throw error
        }
        group.cancelAll()
        do { try await group.waitForAll() } catch is CancellationError {}
    }
}
