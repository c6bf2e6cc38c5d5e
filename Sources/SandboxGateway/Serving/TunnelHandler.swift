import NIOCore
import NIOSSL

/// One side of a tunnel: passes bytes on to the other, as fast as that one takes them.
///
/// A side that has said all it wanted may go on listening; behind TLS, where clients mean the whole connection by it, the
/// first end is that of both.
final class TunnelHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let exchange: Exchange
    private var peer: TunnelHandler?
    private var context: ChannelHandlerContext?
    private var wantsRead = false
    /// Whether bytes pass: not before the decoders are gone.
    private var hasBegun = false
    private var hasEnded = false
    /// Whether nothing more comes from this side.
    private var isSilent = false

    private init(_ exchange: Exchange) { self.exchange = exchange }

    /// The two sides of one tunnel.
    static func pair(_ exchange: Exchange) -> (client: TunnelHandler, port: TunnelHandler) {
        let client = TunnelHandler(exchange)
        let port = TunnelHandler(exchange)
        client.peer = port
        port.peer = client
        return (client, port)
    }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    /// Both sides are ready: what the decoders held goes out, and more is read.
    func begin() {
        hasBegun = true
        if !isSecured, !(peer?.isSecured ?? true) {
            try? context?.channel.syncOptions?.setOption(.allowRemoteHalfClosure, value: true)
        }
        context?.flush()
        // Whatever read was due before has been asked of a handler that is gone now.
        wantsRead = true
        resumeReading()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        end()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        exchange.tunnelProgressed()
        peer?.send(unwrapInboundIn(data))
    }

    func channelReadComplete(context: ChannelHandlerContext) { peer?.context?.flush() }

    private var isSecured: Bool {
        (try? context?.pipeline.syncOperations.context(handlerType: NIOSSLServerHandler.self)) != nil
    }

    private func send(_ bytes: ByteBuffer) {
        guard let context else { return }
        context.write(wrapOutboundOut(bytes), promise: nil)
        if !context.channel.isWritable,
            let count = try? context.channel.syncOptions?.getOption(.bufferedWritableBytes)
        {
            exchange.gate.shared.noteBuffer(count)
        }
    }

    private var isWritable: Bool { context?.channel.isWritable ?? true }

    func read(context: ChannelHandlerContext) {
        if peer?.isWritable ?? true { context.read() } else { wantsRead = true }
    }

    private func resumeReading() {
        guard wantsRead, peer?.isWritable ?? true, let context else { return }
        wantsRead = false
        context.read()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        exchange.tunnelProgressed()
        if context.channel.isWritable { peer?.resumeReading() }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case ChannelEvent.inputClosed = event { fallSilent() } else { context.fireUserInboundEventTriggered(event) }
    }

    /// Passes the end of what this side says on, behind all of it.
    private func fallSilent() {
        isSilent = true
        exchange.tunnelFellSilent()
        guard let peer, peer.hasBegun, !peer.hasEnded, let other = peer.context else { return end() }
        Self.close(other, .output)
        guard peer.isSilent else { return }
        for side in [context, other] { if let side { Self.close(side, .all) } }
    }

    /// Closes a side once it has been told everything.
    private static func close(_ side: ChannelHandlerContext, _ mode: CloseMode) {
        let channel = NIOLoopBound(side.channel, eventLoop: side.eventLoop)
        side.writeAndFlush(NIOAny(ByteBuffer())).whenComplete { _ in channel.value.close(mode: mode, promise: nil) }
    }

    func channelInactive(context: ChannelHandlerContext) {
        end()
        context.fireChannelInactive()
    }

    /// This side has ended: the other one ends when it has been told everything.
    private func end() {
        guard !hasEnded else { return }
        hasEnded = true
        guard let peer, !peer.hasEnded, let other = peer.context else { return exchange.tunnelEnded() }
        self.peer = nil
        if peer.hasBegun { Self.close(other, .all) } else { other.close(promise: nil) }
    }
}
