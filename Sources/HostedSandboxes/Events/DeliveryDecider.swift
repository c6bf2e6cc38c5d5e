import DeploymentStore

/// Decides which deliveries are tried, and what becomes of them; it knows no clock, no store and no network.
///
/// Each webhook has a lane. Its deliveries begin in the order of their events; those of one sandbox one after the other,
/// those of others beside them. A failed one is tried again later and holds nothing up. Each lane has one place of its own,
/// and more from a common stock, so that no number of dead receivers can take the places of the others.
struct DeliveryDecider: Sendable {
    /// Attempts before a delivery is dead.
    static let maximumAttempts = 3
    /// The wait before the next attempt, in milliseconds.
    static let retryDelay: Int64 = 10_000
    /// How much longer than that it may be, so that receivers do not see all retries at once, in milliseconds.
    static let retrySpread: Int64 = 2_000
    /// The most attempts under way for one webhook.
    static let maximumPerWebhook = 4
    /// The most attempts under way beyond the first of each webhook.
    static let maximumShared = 32
    /// Deliveries of a webhook that are held in memory; the rest stays in the store.
    static let window = 64

    /// What happened.
    enum Event: Sendable, Equatable {
        /// These webhooks want events, and no others.
        case webhooks([String])
        /// There may be new deliveries.
        case changed
        /// The earliest deliveries that wait for a webhook, at most `window`, without the sandboxes that were left out.
        case loaded(String, [DeliveryRecord])
        /// They could not be read.
        case notLoaded(String)
        /// An attempt ended.
        case finished(UInt64, isSuccess: Bool)
        /// An attempt could not be made, by no fault of the receiver.
        case abandoned(UInt64)
        /// The outcome of an attempt is written.
        case recorded(UInt64)
        /// The outcome of an attempt could not be written.
        case notRecorded(UInt64)
        /// Time has passed.
        case time
    }

    /// What is to be done.
    enum Action: Sendable, Equatable {
        /// Read what waits for a webhook, without these sandboxes, which have an attempt under way.
        case load(String, without: [String])
        /// Try a delivery; the number names the attempt from here on.
        case send(DeliveryRecord, UInt64)
        /// Break an attempt off.
        case cancel(UInt64)
        /// Write how an attempt ended.
        case record(UInt64, DeliveryRecord)
    }

    private struct Lane {
        var waiting: [DeliveryRecord] = []
        var active: [UInt64: DeliveryRecord] = [:]
        /// The store may hold more that is due.
        var mayHaveMore = true
        /// Nothing happens before this time, since the store failed.
        var restsUntil: Int64 = .min

        var busy: Set<String> { Set(active.values.map(\.sandbox)) }
    }

    private var lanes: [String: Lane] = [:]
    /// The lanes in their order, oldest webhook first.
    private var order: [String] = []
    private var nextAttempt: UInt64 = 0

    /// When lanes were looked at last, in milliseconds since 1970.
    private var seen: Int64 = .min

    /// The time at which to look again, in milliseconds since 1970; nil when only something new can change anything.
    ///
    /// It may have come by now: it is the first one after the last look, and not after the question.
    var wake: Int64? {
        lanes.values.compactMap { lane in
            if lane.restsUntil > seen { return lane.restsUntil }
            return lane.waiting.lazy.map(\.due).filter { $0 > seen }.min()
        }.min()
    }

    /// Takes in what happened and says what is to be done.
    ///
    /// - Parameters:
    ///   - now: the time in milliseconds since 1970.
    ///   - random: spreads retries.
    mutating func handle(
        _ event: Event, at now: Int64, using random: inout some RandomNumberGenerator
    ) -> [Action] {
        var actions: [Action] = []
        switch event {
        case .webhooks(let ids): actions = keep(ids)
        case .changed: for id in order { lanes[id]?.mayHaveMore = true }
        case .loaded(let id, let deliveries): load(id, deliveries, at: now)
        case .notLoaded(let id):
            lanes[id]?.mayHaveMore = true
            lanes[id]?.restsUntil = now + Self.retryDelay
        case .finished(let attempt, let isSuccess):
            guard var delivery = delivery(of: attempt) else { break }
            settle(&delivery, isSuccess, at: now, using: &random)
            actions.append(.record(attempt, delivery))
        case .abandoned(let attempt), .notRecorded(let attempt):
            guard let delivery = end(attempt) else { break }
            lanes[delivery.webhook]?.restsUntil = now + Self.retryDelay
        case .recorded(let attempt): end(attempt)
        case .time: break
        }
        for id in order { pump(id, at: now, &actions) }
        seen = now
        return actions
    }

    private mutating func keep(_ ids: [String]) -> [Action] {
        var actions: [Action] = []
        for id in order where !ids.contains(id) {
            actions += lanes.removeValue(forKey: id)?.active.keys.sorted().map { .cancel($0) } ?? []
        }
        for id in ids where lanes[id] == nil { lanes[id] = Lane() }
        order = ids
        return actions
    }

    private mutating func load(_ id: String, _ deliveries: [DeliveryRecord], at now: Int64) {
        guard var lane = lanes[id] else { return }
        let active = Set(lane.active.values.map(\.number))
        lane.waiting = deliveries.filter { !active.contains($0.number) }
        // They come by their time, so what is behind a later one is later too.
        lane.mayHaveMore = deliveries.count >= Self.window && (deliveries.last?.due ?? now) <= now
        lanes[id] = lane
    }

    private func delivery(of attempt: UInt64) -> DeliveryRecord? {
        for lane in lanes.values { if let delivery = lane.active[attempt] { return delivery } }
        return nil
    }

    private func settle(
        _ delivery: inout DeliveryRecord, _ isSuccess: Bool, at now: Int64,
        using random: inout some RandomNumberGenerator
    ) {
        guard !isSuccess else {
            delivery.state = .delivered
            return
        }
        delivery.attempts += 1
        delivery.due = now + Self.retryDelay + Int64.random(in: 0...Self.retrySpread, using: &random)
        if delivery.attempts >= Self.maximumAttempts { delivery.state = .dead }
    }

    /// Forgets an attempt; its delivery may be pending still, which the store knows.
    @discardableResult
    private mutating func end(_ attempt: UInt64) -> DeliveryRecord? {
        guard let delivery = delivery(of: attempt) else { return nil }
        lanes[delivery.webhook]?.active[attempt] = nil
        lanes[delivery.webhook]?.mayHaveMore = true
        return delivery
    }

    private var shared: Int { lanes.values.reduce(0) { $0 + max(0, $1.active.count - 1) } }

    private mutating func pump(_ id: String, at now: Int64, _ actions: inout [Action]) {
        guard var lane = lanes[id], lane.restsUntil <= now else { return }
        var inUse = shared
        var busy = lane.busy
        var rest: [DeliveryRecord] = []
        func hasPlace() -> Bool {
            lane.active.isEmpty || lane.active.count < Self.maximumPerWebhook && inUse < Self.maximumShared
        }
        for delivery in lane.waiting {
            guard hasPlace(), delivery.due <= now, !busy.contains(delivery.sandbox) else {
                rest.append(delivery)
                continue
            }
            if !lane.active.isEmpty { inUse += 1 }
            nextAttempt += 1
            lane.active[nextAttempt] = delivery
            busy.insert(delivery.sandbox)
            actions.append(.send(delivery, nextAttempt))
        }
        lane.waiting = rest
        // A place that is left after that has nothing to do here.
        if lane.mayHaveMore, hasPlace() {
            lane.mayHaveMore = false
            actions.append(.load(id, without: busy.sorted()))
        }
        lanes[id] = lane
    }
}
