import NIOCore
import NIOHTTP1

/// The answer: the port's, or the gateway's own.
extension Exchange {
    /// Whether the client takes more of the answer.
    var takesAnswer: Bool { client?.isWritable ?? false }

    func takeAnswer(_ head: HTTPResponseHead) {
        guard phase == .passing else { return }
        progressed()
        let status = head.status.code
        if status == 101 {
            guard Rewriting.upgrade(request) != nil else { return fail(.badAnswer(name)) }
            switching = head
        } else if status < 200 {
            interimAnswers += 1
            guard interimAnswers <= limits.interimAnswers else { return fail(.badAnswer(name)) }
            guard request.version != .http1_0 else { return }
            client?.write(.head(Rewriting.answer(head, to: request).head))
            client?.flush()
        } else {
            answerBegan = true
            var (head, framing) = Rewriting.answer(head, to: request)
            if framing == .end && request.version.major == 1 || gate.isStopping { keepsAlive = false }
            addConnection(to: &head)
            client?.write(.head(head))
        }
    }

    func takeAnswer(_ bytes: ByteBuffer) {
        guard phase == .passing, request.method != .HEAD else { return }
        progressed()
        client?.write(.body(.byteBuffer(bytes)))
    }

    func answerEnded(_ trailers: HTTPHeaders?) {
        guard phase == .passing else { return }
        if let switching {
            becomeTunnel(switching)
        } else if answerBegan {
            leave()
            client?.write(.end(Rewriting.trailers(trailers)))
            client?.flush()
            answerIsComplete()
        }
    }

    func flushAnswer() { if phase == .passing { client?.flush() } }

    /// The port's connection has ended, or says something that is not HTTP.
    func upstreamFailed(isNonsense: Bool) {
        guard phase == .passing else { return }
        upstream = nil
        fail(isControlPlane ? .noControlPlane : isNonsense ? .badAnswer(name) : .brokeOff(name))
    }

    func upstreamWritabilityChanged() {
        progressed()
        client?.resumeReading()
    }

    func clientWritabilityChanged() {
        progressed()
        upstream?.resumeReading()
    }

    private func answerIsComplete() {
        release()
        if requestEnded {
            finish()
        } else {
            phase = .discarding
            timer = LoopTimer(loop: gate.loop) { [weak self] in self?.timePassed() }
            timer?.set(limits.lingering)
            client?.resumeReading()
        }
    }

    func finish() {
        phase = .ended
        release()
        client?.exchangeEnded(keepsAlive: keepsAlive)
    }

    // MARK: own answers

    func fail(_ refusal: GateRefusal) { if answerBegan { reset() } else { refuse(refusal) } }

    func refuse(_ refusal: GateRefusal) {
        guard !answerBegan, let client else { return reset() }
        answerBegan = true
        if [400, 405, 408, 414, 431, 501, 503].contains(refusal.status) { keepsAlive = false }
        // A body that nobody takes is not waited for.
        if !requestEnded, length != .none { keepsAlive = false }
        let isPage = !isControlPlane && RefusalPage.isWanted(request.headers)
        let body = isPage ? RefusalPage.html(refusal) : refusal.json
        var head = HTTPResponseHead(
            version: request.version.major == 2 ? .http2 : request.version,
            status: HTTPResponseStatus(statusCode: refusal.status),
            headers: [
                "content-type": isPage ? "text/html; charset=utf-8" : "application/json",
                "content-length": String(body.count), "cache-control": "no-store",
                "x-content-type-options": "nosniff",
            ])
        addConnection(to: &head)
        client.write(.head(head))
        if request.method != .HEAD { client.write(.body(.byteBuffer(ByteBuffer(bytes: body)))) }
        leave()
        client.write(.end(nil))
        client.flush()
        answerIsComplete()
    }

    private func addConnection(to head: inout HTTPResponseHead) {
        guard request.version.major == 1 else { return }
        if !keepsAlive {
            head.headers.add(name: "connection", value: "close")
        } else if request.version == .http1_0 {
            head.headers.add(name: "connection", value: "keep-alive")
        }
    }
}
