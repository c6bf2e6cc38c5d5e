import Glibc
import NIOCore

/// Answers of the gateway's own, pauses, timeouts and ends.
extension ClientHandler {
    /// Tells the client what is wrong.
    func refuse(_ problem: Problem, isUpstreamError: Bool = false) {
        give(problem.answer, isUpstreamError: isUpstreamError)
    }

    /// Gives the client an answer of our own; the connection goes on if the request was complete.
    func give(_ answer: OwnAnswer, isUpstreamError: Bool = false) {
        let revisionLine = lease?.revisionLine ?? []
        let hadStarted = exchange.hasStarted
        release(status: answer.status, isUpstreamError: isUpstreamError)
        guard let context, !hadStarted else {
            abort()
            return
        }
        let keepsAlive = exchange.keepsAlive && exchange.phase == .answer && !loop.isStopping
        let connection = keepsAlive ? (isVersion10 ? "keep-alive" : nil) : "close"
        let bytes = answer.response(isHead: isHead, connection: connection, revisionLine: revisionLine)
        context.writeAndFlush(wrapOutboundOut(context.channel.allocator.buffer(bytes: bytes)), promise: nil)
        if keepsAlive {
            exchange.answerEnded(at: loop.now)
            if !isReceiving { proceed() }
        } else {
            exchange.finish(at: loop.now)
            endAfterFlush()
        }
    }

    func writeContinue() {
        guard let context else { return }
        let bytes = context.channel.allocator.buffer(staticString: "HTTP/1.1 100 Continue\r\n\r\n")
        context.writeAndFlush(wrapOutboundOut(bytes), promise: nil)
    }

    /// On to the next request.
    func proceed() {
        if output.capacity > Self.keptCapacity { discardOutput() }
        guard !loop.isStopping || held != nil else {
            exchange.finish(at: loop.now)
            endAfterFlush()
            return
        }
        resume([.pipelined, .app])
        if held != nil, let context { receive(context.channel.allocator.buffer(capacity: 0)) }
    }

    func discardOutput() {
        guard let context else { return }
        output = context.channel.allocator.buffer(capacity: 1024)
    }

    // MARK: pauses

    func pause(_ reason: Pause) {
        let wasReading = paused.isEmpty
        paused.insert(reason)
        if wasReading { setReading(false) }
    }

    func resume(_ reason: Pause) {
        guard !paused.isEmpty else { return }
        paused.subtract(reason)
        guard paused.isEmpty else { return }
        if exchange.phase == .body { exchange.resumed(at: loop.now) }
        setReading(true)
    }

    private func setReading(_ reading: Bool) {
        try? context?.channel.syncOptions?.setOption(.autoRead, value: reading)
    }

    // MARK: ends

    /// Ends the connection when everything written is out; what the client still sends is read and dropped, for a
    /// reset could destroy the answer on its way.
    func endAfterFlush() {
        guard let context else { return }
        held = nil
        resume([.pipelined, .app])
        let promise = context.eventLoop.makePromise(of: Void.self)
        promise.futureResult.assumeIsolated().whenComplete { _ in
            self.exchange.flushed(at: self.loop.now)
            self.context?.close(mode: .output, promise: nil)
        }
        context.writeAndFlush(wrapOutboundOut(context.channel.allocator.buffer(capacity: 0)), promise: promise)
    }

    /// Ends the connection at once with a reset, so that nothing can be taken for complete.
    func abort() {
        release(status: status)
        exchange.close()
        guard let context else { return }
        _ = (context.channel as? any SocketOptionProvider)?.setSoLinger(linger(l_onoff: 1, l_linger: 0))
        context.close(promise: nil)
    }

    /// Ends the present exchange, if there is one, with `problem` or a cut.
    func cut(_ problem: Problem) {
        switch exchange.phase {
        case .body, .answer: if exchange.hasStarted { cutAnswer() } else { refuse(problem) }
        case .head, .flushing, .lingering, .closed: break
        }
    }

    /// Ends the connection now, whatever it does; a part of an answer does not pass for the whole.
    func stop() {
        cut(.stopping)
        if exchange.phase == .flushing { abort() } else { context?.close(promise: nil) }
    }

    /// Ends the connection if no request has begun.
    func closeIfIdle() {
        if exchange.phase == .head, !exchange.hasPartialHead { context?.close(promise: nil) }
    }

    /// Looks whether anything has taken too long.
    func checkTime() {
        let isHeldByClient = context.map { !$0.channel.isWritable } ?? false
        let stall = Exchange.Stall(
            isHeldByApp: upstream == nil || paused.contains(.app), isHeldByClient: isHeldByClient,
            // A connection that is being opened has a deadline of its own.
            timeout: ticket != nil ? .max : lease?.timeout ?? loop.deadlines.bodyIdle)
        switch exchange.expiry(at: loop.now, limits: loop.deadlines, stall: stall) {
        case nil: break
        case .idle, .lingered: context?.close(promise: nil)
        case .slowHead, .slowBody: refuse(.headTimeout)
        case .slowApp: if exchange.hasStarted { cutAnswer() } else { refuse(.appSlow, isUpstreamError: true) }
        case .slowReader: abort()
        }
    }
}
