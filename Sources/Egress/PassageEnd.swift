import DeploymentCore
import NIOCore
import NIOPosix

/// Tells a passage what one of its channels does.
final class PassageEnd: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let passage: Passage
    private let side: Passage.Side

    init(_ passage: Passage, _ side: Passage.Side) {
        self.passage = passage
        self.side = side
    }

    func channelActive(context: ChannelHandlerContext) {
        if side == .inner { passage.begin() }
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        passage.received(unwrapInboundIn(data), from: side)
    }

    func channelReadComplete(context: ChannelHandlerContext) { passage.readCompleted(side) }

    func channelWritabilityChanged(context: ChannelHandlerContext) { passage.writabilityChanged(side) }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case ChannelEvent.inputClosed = event { passage.sideEnded(side) }
    }

    func channelInactive(context: ChannelHandlerContext) { passage.closed(side) }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

extension ClientBootstrap {
    /// The options of a channel that is read only while the other side takes what comes.
    func passing(_ limits: EgressLimits) -> ClientBootstrap {
        channelOption(.autoRead, value: false)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .channelOption(.maxMessagesPerRead, value: 1)
            .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: limits.read))
            .channelOption(.writeBufferWaterMark, value: .init(low: limits.buffer / 2, high: limits.buffer))
    }
}

extension ServerBootstrap {
    /// The same for the channels that it accepts.
    func passing(_ limits: EgressLimits) -> ServerBootstrap {
        childChannelOption(.autoRead, value: false)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: limits.read))
            .childChannelOption(.writeBufferWaterMark, value: .init(low: limits.buffer / 2, high: limits.buffer))
    }
}
