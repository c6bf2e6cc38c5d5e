import E2BProtocol

/// A connection that receives what a process does.
final class Subscription {
    /// Waiting bytes at which the process is held up; it goes on at `Connection.lowMark`.
    static let highMark = 1 << 20
    private let connection: Connection
    private let process: ManagedProcess
    private let loop: EventLoop
    private let keepalive: Int64
    private let stallLimit: Int64
    private var keepaliveTimer: EventLoop.Timer?
    private var stallTimer: EventLoop.Timer?
    private var deadlineTimer: EventLoop.Timer?
    /// When something was last sent, in milliseconds of the loop's clock.
    private var lastSent = EventLoop.now
    private(set) var isFull = false
    private var isFinished = false

    init(
        to process: ManagedProcess, connection: Connection, loop: EventLoop, keepalive: Int64, stallLimit: Int64
    ) {
        self.process = process
        self.connection = connection
        self.loop = loop
        self.keepalive = keepalive
        self.stallLimit = stallLimit
        connection.beginStream()
        connection.whenGone = { [weak self] in self?.stop() }
        connection.whenDrained = { [weak self] in self?.drained() }
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
        keepaliveTimer = loop.schedule(after: milliseconds) { [weak self] in
            guard let self else { return }
            let silence = EventLoop.now - lastSent
            // A subscriber that has not read the last one needs no other.
            if silence >= keepalive, connection.output.isEmpty { send(.keepalive) }
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
        isFinished = true
        isFull = false
        loop.cancel(&keepaliveTimer)
        loop.cancel(&stallTimer)
        loop.cancel(&deadlineTimer)
        process.unsubscribe(self)
    }
}
