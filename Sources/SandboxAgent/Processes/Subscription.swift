import E2BProtocol

/// A connection that receives a stream of events: what a process does, or what happens in a folder.
final class Subscription {
    /// Waiting bytes at which the source is held up; it goes on at `Connection.lowMark`.
    static let highMark = 1 << 20
    private let connection: Connection
    private let loop: EventLoop
    private let keepalive: Int64
    private let keepaliveFrame: [UInt8]
    private let stallLimit: Int64
    private let whenStopped: (Subscription) -> Void
    private var keepaliveTimer: EventLoop.Timer?
    private var stallTimer: EventLoop.Timer?
    private var deadlineTimer: EventLoop.Timer?
    /// When something was last sent, in milliseconds of the loop's clock.
    private var lastSent = EventLoop.now
    private(set) var isFull = false
    private(set) var isFinished = false

    /// - Parameters:
    ///   - keepalive: the silence after which `keepaliveFrame` is sent, in milliseconds.
    ///   - stallLimit: how long the subscriber may leave its output waiting, in milliseconds.
    ///   - whenStopped: is called once, when nothing can be sent any more.
    init(
        _ connection: Connection, loop: EventLoop, keepalive: Int64, keepaliveFrame: [UInt8], stallLimit: Int64,
        whenStopped: @escaping (Subscription) -> Void
    ) {
        self.connection = connection
        self.loop = loop
        self.keepalive = keepalive
        self.keepaliveFrame = keepaliveFrame
        self.stallLimit = stallLimit
        self.whenStopped = whenStopped
        connection.whenGone = { [weak self] in self?.stop() }
        connection.whenDrained = { [weak self] in self?.drained() }
        connection.beginStream()
        awaitSilence(for: keepalive)
    }

    /// Ends the subscription at its deadline.
    func expire(after milliseconds: Int64) {
        deadlineTimer = loop.schedule(after: milliseconds) { [weak self] in self?.expire() }
    }

    /// Ends the subscription, as its deadline has passed.
    func expire() { finish(ConnectError(.deadlineExceeded, "the call's deadline has passed")) }

    func send(_ event: ProcessEvent) { send(frame: event.frame()) }

    func send(frame: [UInt8]) {
        guard !isFinished else { return }
        lastSent = EventLoop.now
        connection.sendChunk(frame)
        guard !isFull, connection.output.count >= Self.highMark else { return }
        isFull = true
        stallTimer = loop.schedule(after: stallLimit) { [weak self] in
            self?.finish(ConnectError(.resourceExhausted, "the subscriber does not read fast enough"))
        }
    }

    private func drained() {
        isFull = false
        loop.cancel(&stallTimer)
    }

    private func awaitSilence(for milliseconds: Int64) {
        guard !isFinished else { return }
        keepaliveTimer = loop.schedule(after: milliseconds) { [weak self] in
            guard let self else { return }
            let silence = EventLoop.now - lastSent
            // A subscriber that has not read the last one needs no other.
            if silence >= keepalive, connection.output.isEmpty { send(frame: keepaliveFrame) }
            awaitSilence(for: silence >= keepalive ? keepalive : keepalive - silence)
        }
    }

    /// Ends the stream.
    func finish(_ error: ConnectError? = nil) {
        guard !isFinished else { return }
        stop()
        connection.endStream(error)
    }

    private func stop() {
        guard !isFinished else { return }
        isFinished = true
        isFull = false
        loop.cancel(&keepaliveTimer)
        loop.cancel(&stallTimer)
        loop.cancel(&deadlineTimer)
        whenStopped(self)
    }
}
