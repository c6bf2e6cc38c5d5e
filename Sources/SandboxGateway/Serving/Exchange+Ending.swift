import NIOCore
import NIOHTTP1

/// The ends that an exchange can come to, and the tunnel that it can become.
extension Exchange {
    func progressed() { lastProgress = .now() }

    func timePassed() {
        let limit = phase == .tunnel ? tunnelIdle : limits.exchangeIdle
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
        phase = .ended
        // Before the port's end is told to the client as an end.
        tunnelSides?.client.reset()
        client?.reset()
        release()
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
        leave()
        if phase == .ended { gate.remove(self) }
    }

    /// No longer counts: before the client sees the end of its answer, since its next request may come at once.
    func leave() {
        if let lease { gate.shared.exchanges.leave(lease) }
        lease = nil
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
            try upstream.handOver(to: sides.port)
            try client.handOver(to: sides.client)
            // The port's first: it looks at what is written too, which is only bytes from here on.
            let port = try Pipelines.removeDecoder(of: HTTPResponseDecoder.self, from: portChannel)
            let client = try Pipelines.removeDecoder(of: HTTPRequestDecoder.self, from: clientChannel)
            port.and(client).assumeIsolated().whenComplete { _ in
                sides.client.begin()
                sides.port.begin()
            }
        } catch {
            reset()
        }
    }

    private var tunnelIdle: Duration { isHalfTunnel ? limits.halfTunnelIdle : limits.tunnelIdle }

    func tunnelProgressed() { progressed() }

    /// One side of the tunnel says nothing more.
    func tunnelFellSilent() {
        progressed()
        isHalfTunnel = true
        if phase == .tunnel { timer?.set(tunnelIdle) }
    }

    /// Both sides of the tunnel have ended.
    func tunnelEnded() {
        guard phase == .tunnel else { return }
        phase = .ended
        release()
    }
}
