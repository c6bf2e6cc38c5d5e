import NIOCore
import NIOHTTP1

/// The ends that an exchange can come to, and the tunnel that it can become.
extension Exchange {
    func progressed() { lastProgress = .now() }

    func timePassed() {
        let limit = phase == .tunnel ? limits.tunnelIdle : limits.exchangeIdle
        switch phase {
        case .opening: refuse(.tooLate(name))
        case .passing, .tunnel:
            let silence = Duration.nanoseconds((NIODeadline.now() - lastProgress).nanoseconds)
            if silence < limit {
                timer?.set(limit - silence)
            } else if phase == .passing {
                fail(.tooLate(name))
            } else {
                reset()
            }
        case .discarding:
            phase = .ended
            release()
            client?.closeAfterFlush()
        case .ended: break
        }
    }

    /// Breaks it off, so that the client sees that it is not complete.
    func reset() {
        guard phase != .ended else { return }
        let sides = tunnelSides
        phase = .ended
        release()
        sides?.client.reset()
        client?.reset()
    }

    /// The gateway's grace is over.
    func stop() {
        if phase == .opening || phase == .passing { fail(.stopping) } else if phase == .tunnel { reset() }
    }

    /// Lets go of the port and of everything that waits.
    func release() {
        task?.cancel()
        task = nil
        timer?.cancel()
        timer = nil
        upstream?.close()
        upstream = nil
        tunnelSides?.port.close(promise: nil)
        tunnelSides = nil
        held.removeAll()
        if let lease { gate.shared.exchanges.leave(lease) }
        lease = nil
        if phase == .ended { gate.remove(self) }
    }

    // MARK: tunnels

    func becomeTunnel(_ head: HTTPResponseHead) {
        guard let client, let upstream, let clientChannel = client.channel, let portChannel = upstream.channel else {
            return reset()
        }
        answerBegan = true
        var (answer, _) = Rewriting.answer(head, to: request)
        answer.headers.add(name: "connection", value: "upgrade")
        answer.headers.add(name: "upgrade", value: head.headers.first(name: "upgrade") ?? "")
        client.write(.head(answer))
        client.flush()
        phase = .tunnel
        self.upstream = nil
        tunnelSides = (clientChannel, portChannel)
        timer?.set(limits.tunnelIdle)
        let sides = TunnelHandler.pair(self)
        do {
            // A side passes on what its decoder holds, so the other one has to be ready for bytes before.
            try upstream.handOver(to: sides.port)
            try client.handOver(to: sides.client)
            try Pipelines.removeDecoder(of: HTTPRequestDecoder.self, from: clientChannel)
            try Pipelines.removeDecoder(of: HTTPResponseDecoder.self, from: portChannel)
        } catch {
            return reset()
        }
        sides.client.resumeReading()
        sides.port.resumeReading()
    }

    func tunnelProgressed() { progressed() }

    /// Both sides of the tunnel have ended.
    func tunnelEnded() {
        guard phase == .tunnel else { return }
        phase = .ended
        release()
    }
}
