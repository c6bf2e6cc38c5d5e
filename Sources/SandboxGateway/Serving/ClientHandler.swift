import NIOCore
import NIOHTTP1

/// A client's side: a connection of HTTP/1.1, or one stream of HTTP/2. Takes one request at a time, and reads on only
/// as fast as the port takes it.
final class ClientHandler: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    private let gate: GateLoop
    private let headTimer: HeadTimer?
    private let isSecure: Bool
    private let isAdmitted: Bool
    private var context: ChannelHandlerContext?
    private var exchange: Exchange?
    /// Requests that came before the one in hand was answered.
    private var queue = CircularBuffer<HTTPServerRequestPart>()
    private var wantsRead = false
    /// Whether nothing is taken for a request any more.
    private var isEnding = false
    private var lingering: LoopTimer?

    init(_ gate: GateLoop, timer: HeadTimer?, isSecure: Bool, isAdmitted: Bool) {
        self.gate = gate
        headTimer = timer
        self.isSecure = isSecure
        self.isAdmitted = isAdmitted
    }

    private var isHTTP2: Bool { headTimer == nil }
    var channel: (any Channel)? { context?.channel }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        headTimer?.passed = { [weak self] hasBegun in self?.headIsLate(hasBegun) }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        lingering?.cancel()
    }

    // MARK: reading

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let part = unwrapInboundIn(data)
        guard !isEnding else { return }
        if let exchange, exchange.requestEnded {
            queue.append(part)
        } else {
            take(part)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) { exchange?.flushRequest() }

    private func take(_ part: HTTPServerRequestPart) {
        if let exchange {
            exchange.take(part)
        } else if case .head(let head) = part {
            headTimer?.headCame()
            let exchange = Exchange(head, client: self, gate: gate, scheme: isSecure ? "https" : "http")
            self.exchange = exchange
            exchange.begin(isAdmitted: isAdmitted)
        }
    }

    private var mayRead: Bool {
        if isEnding { return true }
        if let exchange { return exchange.takesRequest }
        return queue.isEmpty
    }

    func read(context: ChannelHandlerContext) {
        if mayRead { context.read() } else { wantsRead = true }
    }

    func resumeReading() {
        guard wantsRead, mayRead, let context else { return }
        wantsRead = false
        context.read()
    }

    // MARK: writing

    var isWritable: Bool { context?.channel.isWritable ?? false }

    func write(_ part: HTTPServerResponsePart) {
        guard let context else { return }
        context.write(wrapOutboundOut(part), promise: nil)
        if !context.channel.isWritable { noteBuffer(context.channel) }
    }

    func flush() { context?.flush() }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        exchange?.clientWritabilityChanged()
        context.fireChannelWritabilityChanged()
    }

    private func noteBuffer(_ channel: any Channel) {
        guard let bytes = try? channel.syncOptions?.getOption(.bufferedWritableBytes) else { return }
        gate.shared.noteBuffer(bytes)
    }

    // MARK: ends

    /// The exchange is over: the next one begins, or the connection ends.
    func exchangeEnded(keepsAlive: Bool) {
        exchange = nil
        // A stream of HTTP/2 ends by itself.
        guard !isHTTP2 else { return }
        guard keepsAlive, !gate.isStopping else { return closeAfterFlush() }
        headTimer?.expectHead()
        while exchange?.requestEnded != true, !isEnding, let part = queue.popFirst() { take(part) }
        exchange?.flushRequest()
        resumeReading()
    }

    /// Ends the connection when everything is written.
    func closeAfterFlush() {
        guard let context, !isEnding else { return }
        isEnding = true
        exchange = nil
        queue.removeAll()
        if isHTTP2 {
            context.channel.reset()
        } else {
            let channel = NIOLoopBound(context.channel, eventLoop: context.eventLoop)
            context.writeAndFlush(wrapOutboundOut(.body(.byteBuffer(ByteBuffer())))).whenComplete { _ in
                channel.value.close(promise: nil)
            }
        }
        // Whoever does not read does not keep it open.
        linger()
    }

    private func linger() {
        guard let channel = context?.channel else { return }
        let timer = LoopTimer(loop: gate.loop) { channel.reset() }
        timer.set(isEnding ? gate.limits.exchangeIdle : gate.limits.lingering)
        lingering = timer
    }

    func reset() {
        isEnding = true
        exchange = nil
        context?.channel.reset()
    }

    private func headIsLate(_ hasBegun: Bool) {
        guard exchange == nil, !isEnding else { return }
        if hasBegun { refuse(.headTooSlow) } else { closeAfterFlush() }
    }

    /// Answers what never became a request, and ends the connection.
    private func refuse(_ refusal: GateRefusal) {
        let body = refusal.json
        let head = HTTPResponseHead(
            version: .http1_1, status: HTTPResponseStatus(statusCode: refusal.status),
            headers: [
                "content-type": "application/json", "content-length": String(body.count), "connection": "close",
            ])
        write(.head(head))
        write(.body(.byteBuffer(ByteBuffer(bytes: body))))
        write(.end(nil))
        flush()
        isEnding = true
        queue.removeAll()
        // Closed at once, bytes that are still on their way would destroy the answer.
        let channel = context?.channel
        let timer = LoopTimer(loop: gate.loop) { channel?.close(promise: nil) }
        timer.set(gate.limits.lingering)
        lingering = timer
        if wantsRead { resumeReading() }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard !isEnding else { return }
        guard !isHTTP2, let error = error as? HTTPParserError else {
            endExchange()
            context.channel.reset()
            return
        }
        if error == .invalidEOFState { return }
        if let exchange {
            exchange.requestIsMalformed()
        } else {
            refuse(error == .headerOverflow ? .headTooLarge : .malformed)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        endExchange()
        context.fireChannelInactive()
    }

    private func endExchange() {
        isEnding = true
        queue.removeAll()
        exchange?.clientLeft()
        exchange = nil
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        // Between two requests; during one, its answer says that it is the last.
        if event is ChannelShouldQuiesceEvent, exchange == nil, !isHTTP2 { closeAfterFlush() }
        context.fireUserInboundEventTriggered(event)
    }

    // MARK: tunnels

    /// Leaves the connection to `tunnel`, as bytes; only the decoder is still there then.
    func handOver(to tunnel: TunnelHandler) throws {
        guard let context else { throw ChannelError.ioOnClosedChannel }
        let pipeline = context.pipeline.syncOperations
        exchange = nil
        try pipeline.addHandler(tunnel)
        let encoder = try pipeline.context(handlerType: HTTPResponseEncoder.self)
        _ = pipeline.removeHandler(context: context)
        _ = pipeline.removeHandler(context: encoder)
        if let headTimer { _ = pipeline.removeHandler(headTimer) }
    }
}
