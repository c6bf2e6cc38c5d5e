import NIOCore
import NIOHTTP1

/// The port's side of an exchange.
final class UpstreamHandler: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundIn = HTTPClientRequestPart
    typealias OutboundOut = HTTPClientRequestPart

    private let exchange: Exchange
    private var context: ChannelHandlerContext?
    private var wantsRead = false
    /// Whether the exchange is told nothing any more.
    private var hasFailed = false

    init(_ exchange: Exchange) { self.exchange = exchange }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    var channel: (any Channel)? { context?.channel }
    /// Whether the port takes more.
    var isWritable: Bool { context?.channel.isWritable ?? false }

    func write(_ part: HTTPClientRequestPart) {
        guard let context else { return }
        context.write(wrapOutboundOut(part), promise: nil)
        if !context.channel.isWritable,
            let bytes = try? context.channel.syncOptions?.getOption(.bufferedWritableBytes)
        {
            exchange.gate.shared.noteBuffer(bytes)
        }
    }

    func flush() { context?.flush() }

    /// Ends the connection without telling the exchange.
    func close() {
        hasFailed = true
        context?.close(promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !hasFailed else { return }
        switch unwrapInboundIn(data) {
        case .head(let head): exchange.takeAnswer(head)
        case .body(let bytes): exchange.takeAnswer(bytes)
        case .end(let trailers): exchange.answerEnded(trailers)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) { exchange.flushAnswer() }

    func read(context: ChannelHandlerContext) {
        if exchange.takesAnswer { context.read() } else { wantsRead = true }
    }

    func resumeReading() {
        guard wantsRead, exchange.takesAnswer, let context else { return }
        wantsRead = false
        context.read()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { exchange.upstreamWritabilityChanged() }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard !hasFailed else { return }
        hasFailed = true
        let isNonsense = (error as? HTTPParserError).map { $0 != .invalidEOFState } ?? false
        exchange.upstreamFailed(isNonsense: isNonsense)
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        guard !hasFailed else { return }
        hasFailed = true
        exchange.upstreamFailed(isNonsense: false)
    }

    /// Leaves the connection to `tunnel`, as bytes; only the decoder is still there then.
    func handOver(to tunnel: TunnelHandler) throws {
        guard let context else { throw ChannelError.ioOnClosedChannel }
        let pipeline = context.pipeline.syncOperations
        try pipeline.addHandler(tunnel)
        let encoder = try pipeline.context(handlerType: HTTPRequestEncoder.self)
        hasFailed = true
        _ = pipeline.removeHandler(context: context)
        _ = pipeline.removeHandler(context: encoder)
    }
}
