import CPlatform
import Glibc

/// One client: HTTP/1.1 requests one after the other, or, when it begins so, requests for ports.
final class Connection: EventSource {
    private enum Phase {
        case head
        case body(BodyDecoder, any BodySink)
        /// The body is whole; its answer is not.
        case answering
        case ports(PortBridge)
        case closed
    }
    let descriptor: Int32
    /// Whether it comes from a process in here, which is told little.
    let isFromInside: Bool
    private let agent: Agent
    private var phase = Phase.head
    private var input: [UInt8] = []
    var output = OutputQueue()
    private var answerIsWhole = true
    private var closesAfterAnswer = false
    private var hasBegunAnswer = false
    private var isParsing = false
    private var parsesAgain = false
    private var isFlushing = false
    /// Called when the output has shrunk to `lowMark`: where the next part of an answer comes from.
    var whenDrained: (() -> Void)?
    /// Called once when the connection is gone before its answer was whole.
    var whenGone: (() -> Void)?
    /// Set while the receiver of a body cannot take more.
    var pausesBody = false {
        didSet { if oldValue, !pausesBody { parse() } }
    }

    /// Bytes taken from the socket at once, and the most that is held unread beyond a head.
    private static let readLimit = 64 << 10
    /// Waiting output under which a sender goes on, in bytes.
    static let lowMark = 512 << 10

    init(descriptor: Int32, agent: Agent, isFromInside: Bool = false) {
        self.descriptor = descriptor
        self.isFromInside = isFromInside
        self.agent = agent
    }

    /// Whether it waits for the first byte of a request.
    var isIdle: Bool {
        if case .head = phase { input.isEmpty && output.isEmpty } else { false }
    }

    private var isClosed: Bool {
        if case .closed = phase { true } else { false }
    }

    var interest: Int16 {
        if case .ports(let bridge) = phase, bridge.isBusy { return bridge.hasAnswer ? .writable : 0 }
        // A finished answer is sent before the next request is read, and what is read has a limit.
        let reads = !pausesBody && input.count <= RequestHead.lengthLimit + Self.readLimit
        return (reads ? .readable : 0) | (output.isEmpty ? 0 : .writable)
    }

    func ready(_ events: Int16) {
        if case .ports(let bridge) = phase, bridge.isBusy {
            bridge.flush()
            return parse()
        }
        if events & .writable != 0 { flush() }
        guard !isClosed, events & (.readable | .broken) != 0 else { return }
        guard let bytes = readAvailable(descriptor, limit: Self.readLimit) else { return }
        guard !bytes.isEmpty else { return close() }
        input += bytes
        parse()
    }

    /// Goes through what has been read as far as it reaches. Answers given meanwhile only ask for another round, so
    /// that many small requests in one read do not nest.
    private func parse() {
        parsesAgain = true
        guard !isParsing else { return }
        isParsing = true
        while parsesAgain {
            parsesAgain = false
            parseOnce()
        }
        isParsing = false
    }

    private func parseOnce() {
        var isProgressing = true
        while isProgressing, !pausesBody {
            switch phase {
            case .head: isProgressing = parseHead()
            case .body(let decoder, let sink): isProgressing = parseBody(decoder, sink)
            case .ports(let bridge):
                guard let rest = bridge.take(input[...]) else { return close() }
                isProgressing = rest.count < input.count && !bridge.isBusy
                input = Array(rest)
            case .answering, .closed: isProgressing = false
            }
        }
    }

    private func parseHead() -> Bool {
        guard output.isEmpty, !input.isEmpty else { return false }
        if !isFromInside, let bridge = PortBridge.recognise(input, connection: self, agent: agent) {
            phase = .ports(bridge)
            return true
        }
        guard let end = input.firstRange(of: Array("\r\n\r\n".utf8)) else {
            if input.count > RequestHead.lengthLimit { reject(.init("the request head is too long", status: 431)) }
            return false
        }
        guard end.lowerBound <= RequestHead.lengthLimit else {
            reject(.init("the request head is too long", status: 431))
            return false
        }
        do {
            let head = try RequestHead(parsing: input[..<end.lowerBound])
            input.removeSubrange(..<end.upperBound)
            begin(head)
            return true
        } catch {
            reject(error)
            return false
        }
    }

    private func begin(_ head: RequestHead) {
        answerIsWhole = false
        hasBegunAnswer = false
        closesAfterAnswer = head.wantsClose
        if head["expect"]?.lowercased() == "100-continue" { send(Array("HTTP/1.1 100 Continue\r\n\r\n".utf8)) }
        // Answers may come while the request is being routed, so the phase is set first.
        phase = .body(BodyDecoder(head.bodyLength), DiscardedBody(self))
        if let sink = agent.route(head, on: self), case .body(let decoder, _) = phase {
            phase = .body(decoder, sink)
        }
    }

    private func parseBody(_ decoder: BodyDecoder, _ sink: any BodySink) -> Bool {
        var decoder = decoder
        var rest = input[...]
        do {
            let part = try decoder.next(&rest)
            input = Array(rest)
            guard decoder.isDone else {
                phase = .body(decoder, sink)
                if !part.isEmpty { sink.receive(part) }
                return !part.isEmpty
            }
            phase = .body(decoder, sink)
            if !part.isEmpty { sink.receive(part) }
            // The sink may have been replaced by an answer, or the connection closed.
            guard case .body(_, let current) = phase else { return false }
            phase = .answering
            if current === sink { sink.complete() }
            finishIfWhole()
            return true
        } catch {
            sink.abandon()
            reject(error)
            return false
        }
    }

    /// Answers a request that cannot be understood, and ends the connection, as its next bytes have no meaning.
    private func reject(_ error: RequestHead.Malformed) {
        closesAfterAnswer = true
        input = []
        let isInBody = if case .body = phase { true } else { false }
        phase = .answering
        if isInBody, hasBegunAnswer {
            return answerIsWhole ? finishIfWhole() : close()
        }
        answerIsWhole = false
        fail(status: error.status, message: error.message)
    }

    private func finishIfWhole() {
        guard answerIsWhole, case .answering = phase else { return }
        if closesAfterAnswer {
            if output.isEmpty { close() }
        } else {
            phase = .head
        }
    }

    func send(_ bytes: [UInt8]) {
        guard !isClosed else { return }
        let wasEmpty = output.isEmpty
        output.append(bytes)
        if wasEmpty { flush() }
    }

    /// Writes once and asks for more once; what comes meanwhile waits for the next round of the loop.
    private func flush() {
        guard !isFlushing else { return }
        isFlushing = true
        defer { isFlushing = false }
        let failure = output.flush(to: descriptor)
        guard failure == 0 else { return close() }
        if output.count <= Self.lowMark { whenDrained?() }
        guard output.isEmpty, !isClosed else { return }
        finishIfWhole()
        // A request may have come while the answer to the one before was waiting.
        if case .head = phase, !input.isEmpty { parse() }
    }

    /// A request for a port has been answered.
    func portAnswered() { parse() }

    /// Gives the socket away: from now on its bytes are those of `other`, after one that says so.
    func becomeRelay(to other: Int32) {
        guard agent.canRelay, input.isEmpty, berth_send_with_descriptor(descriptor, [UInt8(ascii: "F")], 1, -1) == 1
        else {
            Glibc.close(other)
            return close()
        }
        phase = .closed
        agent.loop.remove(self)
        agent.forget(self)
        agent.relay(descriptor, other)
    }

    /// Ends the connection; what it was doing is told.
    func close() {
        guard !isClosed else { return }
        let earlier = phase
        phase = .closed
        agent.loop.remove(self)
        agent.forget(self)
        output.removeAll()
        if case .body(_, let sink) = earlier { sink.abandon() }
        if case .ports(let bridge) = earlier { bridge.close() }
        let gone = whenGone
        whenGone = nil
        whenDrained = nil
        gone?()
        Glibc.close(descriptor)
    }
}

// Answers.
extension Connection {
    /// Begins an answer. Without a length the body is chunked and `finishChunks()` ends it.
    func begin(status: Int, headers: [(String, String)] = [], length: Int?, body: [UInt8] = []) {
        var text = "HTTP/1.1 \(status) \(HTTPStatus.reason(status))\r\n"
        for (name, value) in headers { text += "\(name): \(value)\r\n" }
        if let length {
            if status != 204 { text += "Content-Length: \(length)\r\n" }
        } else {
            text += "Transfer-Encoding: chunked\r\n"
        }
        if closesAfterAnswer { text += "Connection: close\r\n" }
        hasBegunAnswer = true
        // The body's remainder is of no more use; its sender may not read before it has sent it all.
        if case .body(let decoder, _) = phase { phase = .body(decoder, DiscardedBody(self)) }
        send(Array((text + "\r\n").utf8) + body)
    }

    /// A part of a chunked answer.
    func sendChunk(_ bytes: [UInt8]) {
        guard !bytes.isEmpty else { return }
        send(Array("\(String(bytes.count, radix: 16))\r\n".utf8) + bytes + [0x0D, 0x0A])
    }

    /// Ends a chunked answer.
    func finishChunks() {
        whenGone = nil
        whenDrained = nil
        send(Array("0\r\n\r\n".utf8))
        finish()
    }

    /// The answer is whole.
    func finish() {
        whenGone = nil
        whenDrained = nil
        answerIsWhole = true
        finishIfWhole()
        if case .head = phase, output.isEmpty, !input.isEmpty { parse() }
    }

    /// A whole answer.
    func respond(status: Int, headers: [(String, String)] = [], body: [UInt8] = []) {
        guard !isClosed, !answerIsWhole else { return }
        begin(status: status, headers: headers, length: body.count, body: body)
        finish()
    }
}
