import CurlClient
import DeploymentCore
import DeploymentStore
import E2BProtocol
import Foundation
import Waiting

/// The events of sandboxes, and those who are told of them.
///
/// Events are written by `DeploymentStore.append` in the transaction of the change; this reads them. `run()` delivers them.
public final class SandboxEvents: Sendable {
    /// Events that one read of a follower takes.
    static let followed = 256

    /// What can be chosen.
    public struct Configuration: Sendable {
        /// How long one attempt may take.
        public var attemptTimeout: Duration
        /// Where receivers may be.
        public var addresses: AddressPolicy
        /// The id of the one team, a UUID.
        public var team: String
        /// Makes ids, UUIDs in lower case.
        public var makeID: @Sendable () -> String

        /// Creates a configuration.
        public init(
            attemptTimeout: Duration = .seconds(10), addresses: AddressPolicy = .publicOrLoopback,
            team: String = "00000000-0000-0000-0000-000000000000",
            makeID: @escaping @Sendable () -> String = { UUID().uuidString.lowercased() }
        ) {
            self.attemptTimeout = attemptTimeout
            self.addresses = addresses
            self.team = team
            self.makeID = makeID
        }
    }

    let store: DeploymentStore
    let configuration: Configuration
    let now: @Sendable () -> Int64
    let dispatcher: WebhookDispatcher
    private let changed = Signal()
    private let isOver = Locked(false)

    /// Creates the service; nothing is delivered before `run()`.
    ///
    /// - Parameters:
    ///   - clock: paces the waits.
    ///   - now: the wall clock, in milliseconds since 1970.
    public init(
        store: DeploymentStore, client: CurlClient, configuration: Configuration = Configuration(),
        clock: any Clock<Duration> = ContinuousClock(),
        now: @escaping @Sendable () -> Int64 = { Int64(Date().timeIntervalSince1970 * 1_000) }
    ) {
        self.store = store
        self.configuration = configuration
        self.now = now
        dispatcher = WebhookDispatcher(
            store: store, client: client, configuration: configuration, clock: clock, now: now)
    }

    /// Delivers events until the task is cancelled; then followers end too. To be called once.
    public func run() async {
        let observation = store.observeSandboxEvents { [dispatcher, changed] in
            dispatcher.noteChange()
            changed.notify()
        }
        await dispatcher.run()
        observation.cancel()
        isOver.withLock { $0 = true }
        changed.notify()
    }

    /// Events of one sandbox or of all, in the form of the API.
    ///
    /// - Parameters:
    ///   - types: as `sandbox.lifecycle.created`; empty for all.
    /// - Throws: a `ControlFailure` 400 for an unknown type.
    public func events(
        of sandbox: String? = nil, types: [String] = [], offset: Int = 0, limit: Int = 10, isAscending: Bool = false
    ) throws -> [JSONValue] {
        let kinds = types.isEmpty ? [] : try WebhookRules.kinds(types, field: "types")
        return try store.sandboxEvents(
            of: sandbox, kinds: kinds, offset: offset, limit: limit, isAscending: isAscending
        ).map { SandboxEventPayload.listed($0, team: configuration.team) }
    }

    /// Refuses what is no type of events.
    ///
    /// - Throws: a `ControlFailure` 400.
    public func check(types: [String]) throws {
        if !types.isEmpty { _ = try WebhookRules.kinds(types, field: "types") }
    }

    /// Hands out events as they come until the task is cancelled or `run()` has ended.
    ///
    /// - Parameters:
    ///   - last: the number of the event behind which to begin; nil for the newest.
    ///   - deliver: gets the event's number, its type and the event in the form of the API.
    public func follow(
        of sandbox: String? = nil, types: [String] = [], after last: Int64?,
        _ deliver: @Sendable (_ number: Int64, _ type: String, _ event: JSONValue) async throws -> Void
    ) async throws {
        let kinds = types.isEmpty ? [] : try WebhookRules.kinds(types, field: "types")
        var last = try last ?? store.lastSandboxEvent()
        while !Task.isCancelled {
            let version = changed.version
            let isLast = isOver.withLock { $0 }
            let events = try store.sandboxEvents(of: sandbox, kinds: kinds, after: last, limit: Self.followed)
            for event in events {
                last = event.number ?? last
                try await deliver(
                    last, event.kind.type, SandboxEventPayload.listed(event, team: configuration.team))
            }
            guard events.isEmpty else { continue }
            if isLast { return }
            await changed.wait(after: version)
        }
    }
}
