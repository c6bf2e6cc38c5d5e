import CurlClient
import DeploymentCore
import DeploymentStore
import Waiting

/// Delivers events to webhooks: asks `DeliveryDecider` what to do, does it, and tells it what came of it.
///
/// All it knows is in the store. What a kill interrupts is sent again by the next one, with the same event id.
final class WebhookDispatcher: Sendable {
    /// The longest wait between two looks at the wall clock, which may be set under us.
    static let longestWait = Duration.seconds(60)
    /// How often old events are forgotten, in milliseconds.
    static let sweepInterval: Int64 = 3_600_000

    private struct Inbox {
        var events: [DeliveryDecider.Event] = []
        var outcomes: [UInt64: AttemptRecord] = [:]
        /// Webhooks or events were written.
        var isChanged = true
    }

    private let store: DeploymentStore
    private let client: CurlClient
    private let configuration: SandboxEvents.Configuration
    private let clock: any Clock<Duration>
    private let now: @Sendable () -> Int64
    private let inbox = Locked(Inbox())
    private let arrived = Signal()
    /// Tells of each turn before its wait, for tests that follow.
    let turned = Signal()

    init(
        store: DeploymentStore, client: CurlClient, configuration: SandboxEvents.Configuration,
        clock: any Clock<Duration>, now: @escaping @Sendable () -> Int64
    ) {
        self.store = store
        self.client = client
        self.configuration = configuration
        self.clock = clock
        self.now = now
    }

    /// Tells that webhooks, events or deliveries were written.
    func noteChange() {
        inbox.withLock { $0.isChanged = true }
        arrived.notify()
    }

    /// Delivers until the task is cancelled; attempts that are under way then are broken off and stay pending.
    func run() async {
        let tasks = OwnedTasks()
        var turn = Turn(dispatcher: self, tasks: tasks)
        noteChange()
        while !Task.isCancelled {
            let version = arrived.version
            turn.take()
            turned.notify()
            await wait(after: version, until: turn.wake)
        }
        await tasks.close()
        // What receivers have taken must not be sent again only because we end.
        turn.finish()
    }

    private func post(_ event: DeliveryDecider.Event, _ outcome: (UInt64, AttemptRecord)? = nil) {
        inbox.withLock { inbox in
            inbox.events.append(event)
            if let (attempt, record) = outcome { inbox.outcomes[attempt] = record }
        }
        arrived.notify()
    }

    private func attempt(_ delivery: DeliveryRecord, _ attempt: UInt64) async {
        do {
            guard let webhook = try store.webhook(delivery.webhook), webhook.isEnabled,
                let event = try store.sandboxEvent(delivery.event)
            else { return post(.abandoned(attempt)) }
            let record = try await DeliveryAttempt(
                id: configuration.makeID(), delivery: delivery, webhook: webhook, event: event,
                team: configuration.team
            ).run(client, timeout: configuration.attemptTimeout, addresses: configuration.addresses, now: now)
            post(.finished(attempt, isSuccess: record.isSuccess), (attempt, record))
        } catch {
            post(.abandoned(attempt))
        }
    }

    private func wait(after version: UInt64, until time: Int64?) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.arrived.wait(after: version) }
            group.addTask { await self.sleep(on: self.clock, until: time) }
            await group.next()
            group.cancelAll()
        }
    }

    private func sleep<Pace: Clock>(on clock: Pace, until time: Int64?) async where Pace.Duration == Duration {
        // Looked at before the wall clock, so that time passing in between makes the wait shorter and not longer.
        let begin = clock.now
        let left = time.map { Duration.milliseconds(max(0, $0 - now())) } ?? Self.longestWait
        try? await clock.sleep(until: begin.advanced(by: min(left, Self.longestWait)), tolerance: nil)
    }

    /// What one loop knows: the decider, and what is under way for it.
    private struct Turn {
        let dispatcher: WebhookDispatcher
        let tasks: OwnedTasks
        var decider = DeliveryDecider()
        var random = SystemRandomNumberGenerator()
        var running: [UInt64: Task<Void, Never>] = [:]
        /// When the store is asked again after it failed; nil when it did not.
        var retryAt: Int64?
        var sweptAt: Int64 = .min

        init(dispatcher: WebhookDispatcher, tasks: OwnedTasks) {
            self.dispatcher = dispatcher
            self.tasks = tasks
        }

        /// When to look again.
        var wake: Int64? { [decider.wake, retryAt].compactMap(\.self).min() }

        /// Takes in what has arrived, and does what follows from it.
        mutating func take() {
            sweep()
            var (events, outcomes) = drain()
            events.append(.time)
            while !events.isEmpty {
                var next: [DeliveryDecider.Event] = []
                var written: [(attempt: UInt64, outcome: DeliveryOutcome)] = []
                for event in events {
                    for action in decider.handle(event, at: dispatcher.now(), using: &random) {
                        carryOut(action, &outcomes, &written, &next)
                    }
                }
                next += write(written)
                events = next
            }
        }

        /// Writes down what ended while the loop did.
        mutating func finish() {
            var (events, outcomes) = drain()
            events.removeAll { if case .finished = $0 { false } else { true } }
            var written: [(attempt: UInt64, outcome: DeliveryOutcome)] = []
            for event in events {
                for action in decider.handle(event, at: dispatcher.now(), using: &random) {
                    guard case .record = action else { continue }
                    var ignored: [DeliveryDecider.Event] = []
                    carryOut(action, &outcomes, &written, &ignored)
                }
            }
            _ = write(written)
        }

        private mutating func drain() -> ([DeliveryDecider.Event], [UInt64: AttemptRecord]) {
            let now = dispatcher.now()
            let (arrived, outcomes, isChanged) = dispatcher.inbox.withLock { inbox in
                defer { inbox = Inbox(isChanged: false) }
                return (inbox.events, inbox.outcomes, inbox.isChanged)
            }
            guard isChanged || retryAt.map({ $0 <= now }) ?? false else { return (arrived, outcomes) }
            do {
                let webhooks = try dispatcher.store.webhooks().filter(\.isEnabled).map(\.id)
                retryAt = nil
                return (arrived + [.webhooks(webhooks), .changed], outcomes)
            } catch {
                retryAt = now + DeliveryDecider.retryDelay
                return (arrived, outcomes)
            }
        }

        private mutating func carryOut(
            _ action: DeliveryDecider.Action, _ outcomes: inout [UInt64: AttemptRecord],
            _ written: inout [(attempt: UInt64, outcome: DeliveryOutcome)], _ next: inout [DeliveryDecider.Event]
        ) {
            switch action {
            case .load(let webhook, let sandboxes):
                do {
                    let waiting = try dispatcher.store.pendingDeliveries(
                        of: webhook, without: sandboxes, limit: DeliveryDecider.window)
                    next.append(.loaded(webhook, waiting))
                } catch {
                    next.append(.notLoaded(webhook))
                }
            case .send(let delivery, let attempt):
                running[attempt] = tasks.start { [dispatcher] in await dispatcher.attempt(delivery, attempt) }
            case .cancel(let attempt): running.removeValue(forKey: attempt)?.cancel()
            case .record(let attempt, let delivery):
                running[attempt] = nil
                guard let record = outcomes.removeValue(forKey: attempt) else { break }
                let outcome = DeliveryOutcome(
                    attempt: record, state: delivery.state, attempts: delivery.attempts, due: delivery.due)
                written.append((attempt, outcome))
            }
        }

        /// All outcomes that arrived together are one transaction.
        private func write(
            _ outcomes: [(attempt: UInt64, outcome: DeliveryOutcome)]
        ) -> [DeliveryDecider.Event] {
            guard !outcomes.isEmpty else { return [] }
            do {
                try dispatcher.store.record(outcomes.map(\.outcome))
                return outcomes.map { .recorded($0.attempt) }
            } catch {
                return outcomes.map { .notRecorded($0.attempt) }
            }
        }

        private mutating func sweep() {
            let now = dispatcher.now()
            guard sweptAt < now - WebhookDispatcher.sweepInterval || sweptAt > now else { return }
            sweptAt = now
            // What cannot be forgotten now is forgotten later.
            try? dispatcher.store.removeSandboxEvents(before: now - DeploymentStore.sandboxEventLifetime)
        }
    }
}
