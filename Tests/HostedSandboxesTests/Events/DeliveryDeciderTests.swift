import DeploymentStore
import Testing

@testable import HostedSandboxes

@Suite struct DeliveryDeciderTests {
    typealias Decider = DeliveryDecider

    private static func delivery(
        _ number: Int64, _ webhook: String = "w", sandbox: String? = nil, attempts: Int = 0, due: Int64 = 0
    ) -> DeliveryRecord {
        DeliveryRecord(
            number: number, webhook: webhook, event: "e\(number)", sandbox: sandbox ?? "s\(number)", kind: .created,
            attempts: attempts, due: due)
    }

    /// A decider with some webhooks, each of which waits for `deliveries`.
    private static func decider(
        _ webhooks: [String] = ["w"], _ deliveries: [DeliveryRecord], _ random: inout Dice
    ) -> (Decider, [Decider.Action]) {
        var decider = Decider()
        #expect(
            decider.handle(.webhooks(webhooks), at: 0, using: &random) == webhooks.map { .load($0, without: []) })
        var actions: [Decider.Action] = []
        for webhook in webhooks {
            let mine = deliveries.filter { $0.webhook == webhook }
            actions += decider.handle(.loaded(webhook, mine), at: 0, using: &random)
        }
        return (decider, actions)
    }

    private static func sent(_ actions: [Decider.Action]) -> [Int64] {
        actions.compactMap { if case .send(let delivery, _) = $0 { delivery.number } else { nil } }
    }

    @Test func oneSandboxIsToldOfInOrderAndOthersBesideIt() {
        var random = Dice(1)
        var (decider, actions) = Self.decider(
            ["w"],
            [
                Self.delivery(1, sandbox: "a"), Self.delivery(2, sandbox: "a"), Self.delivery(3, sandbox: "b"),
                Self.delivery(4, sandbox: "a"),
            ], &random)
        #expect(Self.sent(actions) == [1, 3])
        #expect(decider.handle(.time, at: 5, using: &random) == [])
        actions = decider.handle(.finished(1, isSuccess: true), at: 6, using: &random)
        var done = Self.delivery(1, sandbox: "a")
        done.state = .delivered
        #expect(actions == [.record(1, done)], "its place is free once that is written")
        #expect(Self.sent(decider.handle(.recorded(1), at: 7, using: &random)) == [2])
    }

    @Test func failedOneComesAgainAfterTenSecondsAndIsDeadAfterThree() throws {
        var random = Dice(2)
        var (decider, actions) = Self.decider(["w"], [Self.delivery(1)], &random)
        var now: Int64 = 0
        for attempt in 1...3 {
            guard case .send(_, let token) = actions.first(where: { if case .send = $0 { true } else { false } }) else {
                Issue.record("attempt \(attempt) was not made")
                return
            }
            actions = decider.handle(.finished(token, isSuccess: false), at: now, using: &random)
            guard case .record(token, let failed) = actions.first else {
                Issue.record("attempt \(attempt) was not written")
                return
            }
            #expect(failed.attempts == attempt)
            #expect(failed.state == (attempt < 3 ? .pending : .dead))
            #expect(decider.handle(.recorded(token), at: now, using: &random) == [.load("w", without: [])])
            guard attempt < 3 else { break }
            #expect((now + 10_000...now + 12_000).contains(failed.due))
            #expect(decider.handle(.loaded("w", [failed]), at: now, using: &random) == [])
            #expect(decider.wake == failed.due)
            #expect(decider.handle(.time, at: failed.due - 1, using: &random) == [])
            now = failed.due
            actions = decider.handle(.time, at: now, using: &random)
            #expect(Self.sent(actions) == [1])
        }
        #expect(decider.handle(.loaded("w", []), at: now, using: &random) == [])
        #expect(decider.wake == nil)
    }

    @Test func longTailOfOneSandboxIsNoWallForOthers() {
        var random = Dice(9)
        let tail = (1...Int64(Decider.window)).map { Self.delivery($0, sandbox: "slow") }
        var (decider, actions) = Self.decider(["w"], tail, &random)
        #expect(Self.sent(actions) == [1])
        #expect(actions.last == .load("w", without: ["slow"]))
        actions = decider.handle(.loaded("w", [Self.delivery(99, sandbox: "quick")]), at: 1, using: &random)
        #expect(Self.sent(actions) == [99])
    }

    @Test func timeThatHasComeSinceTheLastLookIsNotForgotten() {
        var random = Dice(8)
        let (decider, actions) = Self.decider(["w"], [Self.delivery(1, due: 5)], &random)
        #expect(Self.sent(actions) == [])
        // Whoever asks at 6 or 7 still has to hear of 5.
        #expect(decider.wake == 5)
    }

    @Test func retriesAreSpread() {
        var random = Dice(3)
        let all = (1...4).map { Self.delivery($0) }
        var (decider, actions) = Self.decider(["w"], all, &random)
        #expect(Self.sent(actions).count == Decider.maximumPerWebhook)
        let dues = (1...4).map { token in
            actions = decider.handle(.finished(UInt64(token), isSuccess: false), at: 0, using: &random)
            guard case .record(_, let delivery) = actions.first else { return Int64(-1) }
            return delivery.due
        }
        #expect(Set(dues).count > 1)
        #expect(dues.allSatisfy { (10_000...12_000).contains($0) })
    }

    @Test func deadReceiversLeaveEachWebhookAPlaceOfItsOwn() {
        var random = Dice(4)
        let webhooks = (1...60).map { "w\($0)" }
        // All but the last have plenty to tell and hang with all of it.
        let busy = webhooks.dropLast().enumerated().flatMap { index, webhook in
            (0..<10).map { Self.delivery(Int64(index * 100 + $0), webhook) }
        }
        var (decider, actions) = Self.decider(webhooks, busy, &random)
        #expect(Self.sent(actions).count == 59 + Decider.maximumShared)
        actions = decider.handle(.changed, at: 1, using: &random)
        #expect(actions.contains(.load("w60", without: [])))
        actions = decider.handle(.loaded("w60", [Self.delivery(9_999, "w60")]), at: 2, using: &random)
        #expect(Self.sent(actions) == [9_999])
    }

    @Test func webhookThatIsGoneIsBrokenOff() {
        var random = Dice(5)
        var (decider, actions) = Self.decider(
            ["v", "w"], [Self.delivery(1, "v"), Self.delivery(2, "w"), Self.delivery(3, "w")], &random)
        #expect(Self.sent(actions) == [1, 2, 3])
        actions = decider.handle(.webhooks(["v"]), at: 1, using: &random)
        #expect(actions == [.cancel(2), .cancel(3)])
        #expect(decider.handle(.finished(2, isSuccess: true), at: 2, using: &random) == [], "nobody asks any more")
        #expect(decider.handle(.abandoned(3), at: 2, using: &random) == [])
    }

    @Test func storeThatFailsIsLeftAloneForAWhile() {
        var random = Dice(6)
        var (decider, actions) = Self.decider(["w"], [Self.delivery(1), Self.delivery(2)], &random)
        #expect(Self.sent(actions) == [1, 2])
        _ = decider.handle(.finished(1, isSuccess: true), at: 5, using: &random)
        #expect(decider.handle(.notRecorded(1), at: 5, using: &random) == [])
        #expect(decider.wake == 5 + Decider.retryDelay)
        #expect(decider.handle(.changed, at: 6, using: &random) == [])
        actions = decider.handle(.time, at: 5 + Decider.retryDelay, using: &random)
        #expect(actions == [.load("w", without: ["s2"])], "it is sent again: better twice than never")
        #expect(decider.handle(.notLoaded("w"), at: 20_000, using: &random) == [])
        #expect(decider.wake == 30_000)
        #expect(decider.handle(.time, at: 30_000, using: &random) == [.load("w", without: ["s2"])])
    }

    @Test func whatIsUnderWayIsNotSentTwice() {
        var random = Dice(7)
        var (decider, actions) = Self.decider(["w"], [Self.delivery(1)], &random)
        #expect(Self.sent(actions) == [1])
        #expect(decider.handle(.changed, at: 1, using: &random) == [.load("w", without: ["s1"])])
        actions = decider.handle(.loaded("w", [Self.delivery(1), Self.delivery(2)]), at: 1, using: &random)
        #expect(Self.sent(actions) == [2])
    }

    /// Receivers that answer, fail and hang at random: whatever the order, the limits hold and everything ends.
    @Test(arguments: 0..<40) func limitsHoldAndEverythingEnds(_ seed: UInt64) {
        var random = Dice(seed)
        var world = Rows(webhooks: Int.random(in: 1...12, using: &random))
        var decider = Decider()
        var now: Int64 = 1_000
        var underWay: [UInt64: DeliveryRecord] = [:]
        var queue: [Decider.Event] = [.webhooks(world.webhooks)]
        for _ in 0..<200 { world.add(at: now, using: &random) }
        var steps = 0
        while steps < 50_000, !queue.isEmpty || !underWay.isEmpty || world.isPending {
            steps += 1
            if queue.isEmpty {
                if let token = underWay.keys.randomElement(using: &random), Bool.random(using: &random) {
                    queue = [.finished(token, isSuccess: Int.random(in: 0..<3, using: &random) == 0)]
                } else {
                    now = max(now, decider.wake ?? now + 1_000)
                    queue = [.time]
                }
            }
            for action in decider.handle(queue.removeFirst(), at: now, using: &random) {
                switch action {
                case .load(let webhook, let sandboxes):
                    queue.append(.loaded(webhook, world.pending(webhook, without: sandboxes)))
                case .send(let delivery, let token):
                    #expect(delivery.due <= now)
                    #expect(!underWay.values.contains { $0.number == delivery.number }, "sent twice at once")
                    let sandboxes = underWay.values.filter { $0.webhook == delivery.webhook }.map(\.sandbox)
                    #expect(!sandboxes.contains(delivery.sandbox), "two of one sandbox at once")
                    underWay[token] = delivery
                case .record(let token, let delivery):
                    underWay[token] = nil
                    world.write(delivery)
                    queue.append(.recorded(token))
                case .cancel: Issue.record("nothing was cancelled")
                }
            }
            let counts = Dictionary(grouping: underWay.values, by: \.webhook).mapValues(\.count)
            #expect(counts.values.allSatisfy { $0 <= Decider.maximumPerWebhook })
            #expect(counts.values.reduce(0) { $0 + $1 - 1 } <= Decider.maximumShared)
        }
        #expect(!world.isPending)
        #expect(world.rows.values.allSatisfy { $0.attempts <= Decider.maximumAttempts })
        #expect(world.rows.values.allSatisfy { ($0.state == .dead) == ($0.attempts == Decider.maximumAttempts) })
        #expect(Set(world.rows.values.map(\.state)) == [.dead, .delivered])
    }
}

/// What a store holds, in memory.
private struct Rows {
    let webhooks: [String]
    var rows: [Int64: DeliveryRecord] = [:]

    init(webhooks count: Int) { webhooks = (0..<count).map { "w\($0)" } }

    var isPending: Bool { rows.values.contains { $0.state == .pending } }

    mutating func add(at now: Int64, using random: inout Dice) {
        let number = Int64(rows.count + 1)
        rows[number] = DeliveryRecord(
            number: number, webhook: webhooks.randomElement(using: &random) ?? "", event: "e\(number)",
            sandbox: "s\(Int.random(in: 0..<20, using: &random))", kind: .created, due: now)
    }

    mutating func write(_ delivery: DeliveryRecord) { rows[delivery.number ?? 0] = delivery }

    func pending(_ webhook: String, without sandboxes: [String]) -> [DeliveryRecord] {
        let found = rows.values.filter { $0.webhook == webhook && $0.state == .pending }
            .filter { !sandboxes.contains($0.sandbox) }
            .sorted { ($0.due, $0.number ?? 0) < ($1.due, $1.number ?? 0) }
        return Array(found.prefix(DeliveryDecider.window))
    }
}

/// The same numbers for the same seed (SplitMix64).
struct Dice: RandomNumberGenerator {
    private var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }
}
