/// One client connection's place in the course of request and answer. Pure: it decides, the transport acts.
struct Exchange {
    /// What is awaited.
    enum Phase: Equatable {
        /// A request head, or its first byte.
        case head
        /// The rest of the request body; the answer may have begun.
        case body
        /// The answer, or its rest; the request is complete.
        case answer
        /// That the last answer leaves; then the connection ends.
        case flushing
        /// That the client ends the connection.
        case lingering
        case closed
    }

    /// What to do when the app's connection ends.
    enum Loss: Equatable {
        /// Send the request again over a new connection.
        case retry
        /// Tell the client 502.
        case problem
        /// The end of the connection is the end of the answer.
        case finished
        /// Cut the client off, so that the answer does not look complete.
        case cut
    }

    /// What has passed its limit.
    enum Expiry: Equatable {
        case idle, slowHead, slowBody, slowApp, slowReader, lingered
    }

    /// What the transport knows about who holds up whom.
    struct Stall {
        /// Whether the app's side takes no more bytes, or is not connected.
        var isHeldByApp: Bool
        /// Whether the client takes no more bytes.
        var isHeldByClient: Bool
        /// The deployment's timeout in nanoseconds.
        var timeout: UInt64
    }

    private(set) var phase = Phase.head
    /// Whether the app's connection had served another request before.
    var isReused = false
    /// Whether everything sent to the app is still in memory.
    var isReplayable = true
    /// Whether a byte of an answer has come.
    private(set) var hasAnswerBytes = false
    /// Whether the head of the final answer went to the client.
    private(set) var hasStarted = false
    /// Whether a client can tell an incomplete answer from a complete one.
    private(set) var isDelimited = true
    /// Whether the connection serves another request afterwards.
    var keepsAlive = true
    /// 1xx answers passed or dropped.
    var interimAnswers = 0
    /// When anything last went on, in nanoseconds of the loop's coarse clock.
    var progress: UInt64 = 0
    /// When the first byte of the head or the body came.
    private(set) var began: UInt64 = 0
    /// The bytes of body that came since `began`.
    var received = 0
    /// Whether a part of a head is there.
    private(set) var hasPartialHead = false
    private var hasRetried = false

    /// Notes that a head has begun and is not complete.
    mutating func partialHead(at now: UInt64) {
        if !hasPartialHead { began = now }
        hasPartialHead = true
    }

    /// A head is complete; the body follows.
    mutating func begin(keepsAlive: Bool, at now: UInt64) {
        phase = .body
        self.keepsAlive = keepsAlive
        hasPartialHead = false
        began = now
        received = 0
        progress = now
    }

    /// The request is complete.
    mutating func requestEnded(at now: UInt64) {
        if phase == .body { phase = .answer }
        progress = now
    }

    /// Bytes came from the app.
    mutating func answerBytes(at now: UInt64) {
        hasAnswerBytes = true
        progress = now
    }

    /// The final answer's head goes out; false when the connection has to end with this answer.
    mutating func answerStarted(isDelimited: Bool, isStopping: Bool) -> Bool {
        hasStarted = true
        self.isDelimited = isDelimited
        // What the app did not read of a request cannot be told from the next one.
        if phase == .body || !isDelimited || isStopping { keepsAlive = false }
        return keepsAlive
    }

    /// Reading is allowed again; the time before does not count against the client.
    mutating func resumed(at now: UInt64) {
        began = now
        received = 0
        progress = now
    }

    /// The app's connection has ended; `isClean` when by an end and not by an error.
    func upstreamLost(framing: BodyFraming.Kind, isClean: Bool) -> Loss {
        guard hasStarted else {
            return isReused && isReplayable && !hasRetried && !hasAnswerBytes ? .retry : .problem
        }
        return framing == .untilEnd && isClean ? .finished : .cut
    }

    /// The request is about to be sent again.
    mutating func retry(at now: UInt64) {
        hasRetried = true
        isReused = false
        progress = now
    }

    /// The answer is complete: on to the next request, or to the end.
    mutating func answerEnded(at now: UInt64) {
        guard keepsAlive, phase == .answer else {
            finish(at: now)
            return
        }
        self = Exchange()
        progress = now
    }

    /// Nothing more goes out after what is written.
    mutating func finish(at now: UInt64) {
        phase = .flushing
        progress = now
    }

    /// The last byte is out.
    mutating func flushed(at now: UInt64) {
        guard phase == .flushing else { return }
        phase = .lingering
        progress = now
    }

    /// The connection is gone.
    mutating func close() { phase = .closed }

    /// What has passed its limit at `now`. Stamps may be one tick old, so a tick is added: nothing fires early.
    func expiry(at now: UInt64, limits: Deadlines, stall: Stall) -> Expiry? {
        func passed(_ limit: UInt64, since stamp: UInt64) -> Bool {
            let elapsed = now >= stamp ? now - stamp : 0
            return elapsed >= limit && elapsed - limit >= limits.tick
        }
        switch phase {
        case .closed: return nil
        case .head:
            if hasPartialHead { return passed(limits.headDeadline, since: began) ? .slowHead : nil }
            return passed(limits.keepAliveIdle, since: progress) ? .idle : nil
        case .flushing: return passed(limits.bodyIdle, since: progress) ? .slowReader : nil
        case .lingering: return passed(limits.lingering, since: progress) ? .lingered : nil
        case .body where !stall.isHeldByApp && !stall.isHeldByClient:
            if passed(limits.bodyIdle, since: progress) { return .slowBody }
            let elapsed = now >= began ? now - began : 0
            guard elapsed > limits.bodyIdle + limits.tick else { return nil }
            let due = Double(elapsed - limits.bodyIdle) / 1e9 * Double(limits.bodyMinimumRate)
            return Double(received) < due ? .slowBody : nil
        case .body, .answer:
            if stall.isHeldByClient { return passed(limits.bodyIdle, since: progress) ? .slowReader : nil }
            return passed(stall.timeout, since: progress) ? .slowApp : nil
        }
    }
}

/// The limits in time, in nanoseconds.
struct Deadlines {
    let tick, headDeadline, bodyIdle, keepAliveIdle, upstreamIdle, connectDeadline, lingering: UInt64
    let bodyMinimumRate: Int

    init(_ limits: GatewayLimits) {
        tick = limits.tick.nanoseconds
        headDeadline = limits.headDeadline.nanoseconds
        bodyIdle = limits.bodyIdle.nanoseconds
        keepAliveIdle = limits.keepAliveIdle.nanoseconds
        upstreamIdle = limits.upstreamIdle.nanoseconds
        connectDeadline = limits.connectDeadline.nanoseconds
        lingering = limits.lingering.nanoseconds
        bodyMinimumRate = limits.bodyMinimumRate
    }
}
