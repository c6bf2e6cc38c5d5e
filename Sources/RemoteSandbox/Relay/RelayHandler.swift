import NIOCore
import NIOHTTP1

/// Cuts what comes on a socket into requests, one at a time, and reads on only when somebody wants more.
final class RelayHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let begin: @Sendable (HTTPRequestHead, RelayBody, RelayConnection) -> Void
    private var body: RelayBody?
    private var isBusy = false

    init(begin: @escaping @Sendable (HTTPRequestHead, RelayBody, RelayConnection) -> Void) { self.begin = begin }

    func channelActive(context: ChannelHandlerContext) { context.read() }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch Self.unwrapInboundIn(data) {
        case .head(let head):
            // Nobody who uses these sockets sends a request before the last one is answered.
            guard !isBusy else { return context.close(promise: nil) }
            isBusy = true
            let channel = context.channel
            let body = RelayBody { channel.read() }
            self.body = body
            if head.headers.contains(name: "expect") {
                let interim = HTTPResponseHead(version: .http1_1, status: .continue)
                context.writeAndFlush(Self.wrapOutboundOut(.head(interim)), promise: nil)
            }
            let handler = NIOLoopBound(self, eventLoop: context.eventLoop)
            begin(head, body, RelayConnection(channel: channel) { handler.value.isBusy = false })
        case .body(let bytes): body?.append(Array(bytes.readableBytesView))
        case .end: body?.finish()
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        // Half a head asks for its other half.
        if !isBusy { context.read() }
        context.fireChannelReadComplete()
    }

    func channelInactive(context: ChannelHandlerContext) {
        body?.breakOff()
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

/// The way back to whoever sent a request.
struct RelayConnection: Sendable {
    private let channel: any Channel
    private let idle: @Sendable () -> Void

    /// - Parameter idle: called on the channel's loop when the next request may come.
    init(channel: any Channel, idle: @escaping @Sendable () -> Void) {
        self.channel = channel
        self.idle = idle
    }

    /// Writes a part of the answer, and waits until the socket has taken it.
    func write(_ part: HTTPServerResponsePart) async throws {
        let promise = channel.eventLoop.makePromise(of: Void.self)
        channel.writeAndFlush(part, promise: promise)
        try await promise.futureResult.get()
    }

    /// The answer is complete; the next request may come, unless the connection ends with this one.
    func finish(keepingAlive: Bool) {
        guard keepingAlive else { return close() }
        let channel = channel
        let idle = idle
        channel.eventLoop.execute {
            idle()
            channel.read()
        }
    }

    /// Ends the connection, whatever is missing.
    func close() { channel.close(mode: .all, promise: nil) }
}
