import Testing

@testable import Gateway

@Suite struct FramingTests {
    /// What goes on of `text`, given in runs of `step` bytes, and what is left behind the body.
    private func pass(
        _ kind: BodyFraming.Kind, _ text: String, step: Int, unwrapping: Bool = false, maximum: Int = .max
    ) throws(Refusal) -> (forwarded: String, isComplete: Bool, left: Int) {
        var framing = BodyFraming(kind, maximum: maximum, unwrapping: unwrapping)
        let bytes = Array(text.utf8)
        var forwarded: [UInt8] = []
        var cursor = 0
        while cursor < bytes.count, !framing.isComplete {
            let piece = try framing.next(bytes[cursor..<min(bytes.count, cursor + step)].span)
            if piece.isForwarded { forwarded += bytes[cursor..<cursor + piece.count] }
            cursor += piece.count
        }
        return (String(decoding: forwarded, as: UTF8.self), framing.isComplete, bytes.count - cursor)
    }

    @Test(arguments: [1, 2, 3, 7, 1000]) func chunksAreFollowedHoweverTheyAreCut(_ step: Int) throws {
        let wire = "5\r\nhello\r\n00A;x=\"y\"\r\n0123456789\r\n0\r\nX-T: 1\r\nY: 2\r\n\r\nNEXT"
        let result = try pass(.chunked, wire, step: step)
        #expect(result.forwarded == "5\r\nhello\r\n00A\r\n0123456789\r\n0\r\n\r\n")
        #expect(result.isComplete)
        #expect(result.left == 4)
        let unwrapped = try pass(.chunked, wire, step: step, unwrapping: true)
        #expect(unwrapped.forwarded == "hello0123456789")
        #expect(unwrapped.left == 4)
    }

    @Test(arguments: [
        "g\r\n", "\r\n", "-1\r\n", "+1\r\n", "0x1\r\n", " 1\r\n", "1 \r\n", "1\n", "1\rx", "1\r\nab", "1\r\na\n",
        "1\r\na\rx", "0000000000000001\r\n", "1;\u{0}\r\n", "1;a\nb\r\n", "0\r\n:\r\n", "0\r\n X: 1\r\n",
        "0\r\nX: 1\n\r\n",
        "0\r\n\rX", "ffffffffffffffff\r\n",
    ]) func malformedChunksAreRefused(_ text: String) {
        for step in [1, 1000] {
            #expect(throws: Refusal.malformedChunk) { try pass(.chunked, text, step: step) }
        }
    }

    @Test func endlessExtensionsAndTrailersAreRefused() {
        let many = String(repeating: "x", count: BodyFraming.maximumOverhead + 1)
        #expect(throws: Refusal.malformedChunk) { try pass(.chunked, "1;\(many)\r\na\r\n", step: 4096) }
        #expect(throws: Refusal.malformedChunk) { try pass(.chunked, "0\r\nX: \(many)\r\n\r\n", step: 4096) }
    }

    @Test func chunksAreCountedAgainstTheMaximum() throws {
        #expect(try pass(.chunked, "5\r\nhello\r\n5\r\nhello\r\n0\r\n\r\n", step: 9, maximum: 10).isComplete)
        #expect(throws: Refusal.bodyTooLarge) { try pass(.chunked, "5\r\nhello\r\n6\r\n", step: 9, maximum: 10) }
        #expect(throws: Refusal.bodyTooLarge) { try pass(.chunked, "fffffffffffffff\r\n", step: 99, maximum: 10) }
    }

    @Test func lengthsEndWhereTheyShould() throws {
        let result = try pass(.length(5), "helloNEXT", step: 2)
        #expect(result.forwarded == "hello" && result.isComplete && result.left == 4)
        #expect(BodyFraming(.length(0)).isComplete)
        #expect(BodyFraming(.none).isComplete)
        #expect(try pass(.untilEnd, "anything", step: 3).isComplete == false)
    }
}

@Suite struct ExchangeTests {
    private let limits = Deadlines(GatewayLimits.quick)
    private let second: UInt64 = 1_000_000_000

    @Test func onlyAReusedConnectionWithoutAnAnswerIsTriedAgain() {
        for (isReused, isReplayable, hasBytes, expected) in [
            (true, true, false, Exchange.Loss.retry), (false, true, false, .problem), (true, false, false, .problem),
            (true, true, true, .problem),
        ] {
            var exchange = Exchange()
            exchange.begin(keepsAlive: true, at: 0)
            exchange.isReused = isReused
            exchange.isReplayable = isReplayable
            if hasBytes { exchange.answerBytes(at: 0) }
            #expect(exchange.upstreamLost(framing: .none, isClean: true) == expected)
            guard expected == .retry else { continue }
            exchange.retry(at: 0)
            #expect(exchange.upstreamLost(framing: .none, isClean: true) == .problem)
        }
    }

    @Test func onlyACleanEndEndsAnUndelimitedAnswer() {
        var exchange = Exchange()
        exchange.begin(keepsAlive: true, at: 0)
        exchange.requestEnded(at: 0)
        let keepsAlive = exchange.answerStarted(isDelimited: false, isStopping: false)
        #expect(!keepsAlive)
        #expect(exchange.upstreamLost(framing: .untilEnd, isClean: true) == .finished)
        #expect(exchange.upstreamLost(framing: .untilEnd, isClean: false) == .cut)
        #expect(exchange.upstreamLost(framing: .chunked, isClean: true) == .cut)
        #expect(exchange.upstreamLost(framing: .length(5), isClean: true) == .cut)
    }

    @Test func timeoutsNameTheOneWhoIsSlow() {
        let free = Exchange.Stall(isHeldByApp: false, isHeldByClient: false, timeout: 5 * second)
        var exchange = Exchange()
        #expect(exchange.expiry(at: 59 * second, limits: limits, stall: free) == nil)
        #expect(exchange.expiry(at: 61 * second, limits: limits, stall: free) == .idle)
        exchange.partialHead(at: second)
        #expect(exchange.expiry(at: 10 * second, limits: limits, stall: free) == nil)
        #expect(exchange.expiry(at: 12 * second, limits: limits, stall: free) == .slowHead)
        exchange.begin(keepsAlive: true, at: 0)
        #expect(exchange.expiry(at: 29 * second, limits: limits, stall: free) == nil)
        #expect(exchange.expiry(at: 31 * second, limits: limits, stall: free) == .slowBody)
        let held = Exchange.Stall(isHeldByApp: true, isHeldByClient: false, timeout: 5 * second)
        #expect(exchange.expiry(at: 6 * second, limits: limits, stall: held) == .slowApp)
        // A byte now and then keeps no request alive.
        exchange.progress = 99 * second
        exchange.received = 1024
        #expect(exchange.expiry(at: 100 * second, limits: limits, stall: free) == .slowBody)
        exchange.received = 1024 * 71
        #expect(exchange.expiry(at: 100 * second, limits: limits, stall: free) == nil)
        exchange.requestEnded(at: 100 * second)
        #expect(exchange.expiry(at: 104 * second, limits: limits, stall: free) == nil)
        #expect(exchange.expiry(at: 106 * second, limits: limits, stall: free) == .slowApp)
        let reader = Exchange.Stall(isHeldByApp: false, isHeldByClient: true, timeout: 5 * second)
        #expect(exchange.expiry(at: 106 * second, limits: limits, stall: reader) == nil)
        #expect(exchange.expiry(at: 131 * second, limits: limits, stall: reader) == .slowReader)
    }
}
