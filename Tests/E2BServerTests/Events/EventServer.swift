import BerthTestSupport
import CurlClient
import DeploymentCore
import DeploymentStore
import E2BServer
import Foundation
import HostedSandboxes
import Hummingbird
import Waiting

/// The routes of events alone, on a unix socket.
struct EventServer: Sendable {
    static let start: Int64 = 1_800_000_000_000

    let store: DeploymentStore
    let events: SandboxEvents
    let client: CurlClient
    let socket: String

    /// Serves while `body` runs.
    static func run(_ body: @escaping @Sendable (EventServer) async throws -> Void) async throws {
        try await withTemporaryFolder { folder in
            let client = CurlClient()
            defer { client.close() }
            let store = try DeploymentStore(path: "\(folder)/berth.sqlite")
            let events = SandboxEvents(store: store, client: client, now: { start })
            let server = EventServer(store: store, events: events, client: client, socket: "\(folder)/e2b.sock")
            let router = Router()
            EventRoutes(events: events).add(to: router)
            let isUp = Promise<Void>()
            let application = Application(
                router: router, configuration: .init(address: .unixDomainSocket(path: server.socket)),
                onServerRunning: { _ in isUp.fulfil(()) })
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await application.runService(gracefulShutdownSignals: []) }
                group.addTask { await events.run() }
                defer { group.cancelAll() }
                _ = await isUp.wait()
                try await body(server)
            }
        }
    }
}
