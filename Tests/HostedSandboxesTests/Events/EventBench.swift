import BerthTestSupport
import CurlClient
import DeploymentCore
import DeploymentStore
import E2BProtocol
import Foundation
import Waiting

@testable import HostedSandboxes

/// A store, a clock that stands still, and the service over them.
final class EventBench: Sendable {
    /// The time when the clock was made, in milliseconds since 1970.
    static let epoch: Int64 = 1_800_000_000_000
    static let secret = "canary-0123456789"

    let path: String
    let store: DeploymentStore
    let clock = TestClock()
    let client = CurlClient()
    let events: SandboxEvents

    init(folder: String, _ configuration: SandboxEvents.Configuration = .patient) throws {
        path = "\(folder)/berth.sqlite"
        store = try DeploymentStore(path: path)
        events = SandboxEvents(
            store: store, client: client, configuration: configuration, clock: clock,
            now: { [clock] in Self.epoch + Int64(clock.now.offset.milliseconds) })
    }

    /// Runs `body` while events are delivered.
    func deliver(_ body: @Sendable @escaping () async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await self.events.run() }
            defer { group.cancelAll() }
            try await body()
        }
    }

    @discardableResult
    func addWebhook(_ url: String, _ kinds: [SandboxEventRecord.Kind] = [.created]) throws -> String {
        try events.addWebhook(
            WebhookCreation(name: "test", url: url, events: kinds.map(\.type), secret: Self.secret)
        ).id
    }

    @discardableResult
    func happen(_ kind: SandboxEventRecord.Kind = .created, to sandbox: String = "i1") throws -> String {
        let record = SandboxEventRecord(
            kind, sandbox: sandbox, execution: "x", template: "base", build: "b",
            data: SandboxEventData(metadata: ["who": "test"]),
            time: Self.epoch + Int64(clock.now.offset.milliseconds))
        try store.append(record)
        return record.id
    }

    /// Returns once `condition` holds after a turn of the dispatcher.
    func until(_ condition: () throws -> Bool) async throws {
        while !Task.isCancelled {
            let version = events.dispatcher.turned.version
            if try condition() { return }
            await events.dispatcher.turned.wait(after: version)
        }
    }

    /// Lets time pass for a dispatcher that waits for it.
    func pass(_ duration: Duration) async {
        await clock.awaitSleepers()
        clock.advance(by: duration)
    }

    /// Where the deliveries of a webhook stand.
    func count(_ webhook: String, _ state: DeliveryRecord.State) throws -> Int {
        try store.deliveryCounts(of: webhook, start: 0, end: .max).states[state] ?? 0
    }

    /// The failures of a webhook's attempts in their order.
    func failures(_ webhook: String) throws -> [AttemptRecord.Failure?] {
        try store.deliveries(of: webhook, DeliveryQuery(limit: 1_000, isAscending: true))
            .flatMap(\.attempts).map(\.failure)
    }
}

extension SandboxEvents.Configuration {
    /// So long a deadline that no busy machine makes an answer late.
    static let patient = SandboxEvents.Configuration(attemptTimeout: .seconds(600))
    /// So short a deadline that a receiver that hangs is given up at once.
    static let impatient = SandboxEvents.Configuration(attemptTimeout: .milliseconds(50))
}

func withEventBench(
    _ configuration: SandboxEvents.Configuration = .patient, _ body: (EventBench) async throws -> Void
) async throws {
    try await withTemporaryFolder { folder in
        let bench = try EventBench(folder: folder, configuration)
        defer { bench.client.close() }
        try await body(bench)
    }
}

/// A receiver that remembers what it got.
final class Receiver: Sendable {
    private let received: Locked<[ScriptedRequest]>
    let server: ScriptedHTTPServer

    init(answer: @escaping @Sendable (_ count: Int, ScriptedRequest) -> ScriptedAnswer = { _, _ in .init() }) throws {
        let received = Locked<[ScriptedRequest]>([])
        self.received = received
        server = try ScriptedHTTPServer { request in
            let count = received.withLock { requests in
                requests.append(request)
                return requests.count
            }
            return answer(count, request)
        }
    }

    var requests: [ScriptedRequest] { received.withLock { $0 } }
    var url: String { "\(server.url)/hook" }

    /// The ids of the events it got, in their order.
    var events: [String] { requests.compactMap { Self.json($0)?["id"]?.string } }

    static func json(_ request: ScriptedRequest) -> JSONValue? { try? JSONValue(parsing: request.body) }
}
