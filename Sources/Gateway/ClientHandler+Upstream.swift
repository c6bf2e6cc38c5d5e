import NIOCore

/// The app's side of an exchange: getting a connection, taking the answer, and the ends it can come to.
extension ClientHandler {
    /// Opens a new connection to the app.
    func connect() {
        guard let lease else { return }
        ticket = loop.connect(lease, for: self)
    }

    /// The connection is open: everything so far goes out.
    func connected(_ connection: UpstreamHandler) {
        ticket = nil
        exchange.progress = loop.now
        use(connection)
        connection.send(output, flushing: true)
        if output.readableBytes > loop.limits.replay {
            exchange.isReplayable = false
            discardOutput()
        }
        if connection.isWritable { resume(.app) } else { pause(.app) }
    }

    /// The app took no connection; nothing was sent.
    func connectFailed(_ problem: Problem) {
        ticket = nil
        if moved() { connect() } else { refuse(problem, isUpstreamError: true) }
    }

    func use(_ connection: UpstreamHandler) {
        upstream = connection
        connection.attach(self)
        if let context, !context.channel.isWritable { connection.setReading(false) }
    }

    /// Goes over to the current upstream when the one it began on is retired; false when it stays.
    private func moved() -> Bool {
        guard let lease, let next = loop.board.move(lease, action) else { return false }
        self.lease = next
        return true
    }

    func answerBytesCame() { exchange.answerBytes(at: loop.now) }

    /// Adds to an answer's head what the gateway has to say.
    func finishHead(_ head: ResponseHead, into output: inout HeadOutput) {
        status = head.status
        let isDelimited = head.framing != .untilEnd && !(head.framing == .chunked && isVersion10)
        let keepsAlive = exchange.answerStarted(isDelimited: isDelimited, isStopping: loop.isStopping)
        if let lease { output.append(lease.revisionLine) }
        if !keepsAlive {
            output.append("Connection: close\r\n\r\n")
        } else if isVersion10 {
            output.append("Connection: keep-alive\r\n\r\n")
        } else {
            output.append("\r\n")
        }
    }

    /// Passes 1xx on, but for the 100 that the gateway gives itself and to clients that do not know 1xx.
    func passInterim(_ head: ByteBuffer, status: Int) throws(Refusal) {
        exchange.interimAnswers += 1
        guard exchange.interimAnswers <= loop.limits.interimAnswers else { throw .tooManyFields }
        if status != 100, !isVersion10 { pass(head, flushing: true) }
    }

    @inline(__always) func pass(_ bytes: ByteBuffer, flushing: Bool) {
        guard let context else { return }
        let data = wrapOutboundOut(bytes)
        if flushing { context.writeAndFlush(data, promise: nil) } else { context.write(data, promise: nil) }
        if !context.channel.isWritable { noteBuffer(context) }
    }

    private func noteBuffer(_ context: ChannelHandlerContext) {
        guard let lease, let bytes = try? context.channel.syncOptions?.getOption(.bufferedWritableBytes) else { return }
        loop.board.noteBuffer(lease, bytes)
    }

    func flush() { context?.flush() }

    /// The answer is complete.
    func answerEnded(_ connection: UpstreamHandler, isReusable: Bool) {
        upstream = nil
        guard let lease else { return }
        self.lease = nil
        let isRetired = loop.board.end(lease, status: status, isUse: isUse)
        if isReusable, !isRetired, exchange.phase == .answer {
            loop.keep(connection)
        } else {
            connection.close()
        }
        exchange.answerEnded(at: loop.now)
        if exchange.phase == .flushing { endAfterFlush() } else { proceed() }
    }

    /// The app spoke something that is not HTTP; its connection is closed by itself.
    func answerIsBad() {
        upstream = nil
        if exchange.hasStarted { cutAnswer() } else { refuse(.badAnswer, isUpstreamError: true) }
    }

    /// The app's connection has ended before the answer was complete.
    func upstreamEnded(framing: BodyFraming.Kind, isClean: Bool, hasPartialHead: Bool) {
        upstream = nil
        switch exchange.upstreamLost(framing: framing, isClean: isClean) {
        case .retry:
            if let lease { loop.board.countRetry(lease) }
            exchange.retry(at: loop.now)
            _ = moved()
            connect()
        case .problem: refuse(hasPartialHead ? .badAnswer : .appGone, isUpstreamError: true)
        case .finished:
            release(status: status)
            exchange.finish(at: loop.now)
            endAfterFlush()
        case .cut: cutAnswer()
        }
    }

    /// Ends an answer that has begun, so that the client sees that it is not complete.
    func cutAnswer() {
        release(status: status, isUpstreamError: true)
        guard exchange.isDelimited else {
            abort()
            return
        }
        exchange.finish(at: loop.now)
        endAfterFlush()
    }

    func upstreamWritabilityChanged(_ isWritable: Bool) {
        exchange.progress = loop.now
        if isWritable { resume(.app) } else { pause(.app) }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        exchange.progress = loop.now
        upstream?.setReading(context.channel.isWritable)
    }

    /// Lets go of the app and counts the request out.
    func release(status: Int, isUpstreamError: Bool = false) {
        if let ticket { loop.abandon(ticket) }
        ticket = nil
        upstream?.close()
        upstream = nil
        if let lease { loop.board.end(lease, status: status, isUse: isUse, isUpstreamError: isUpstreamError) }
        lease = nil
    }
}
