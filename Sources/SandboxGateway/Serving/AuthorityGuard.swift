import NIOCore
import NIOHPACK
import NIOHTTP2

/// Lets a request of HTTP/2 be refused that names one host in `:authority` and another one in `host`: the codec would
/// pass on only the latter.
final class AuthorityGuard: ChannelInboundHandler {
    typealias InboundIn = HTTP2Frame.FramePayload
    typealias InboundOut = HTTP2Frame.FramePayload

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let payload = unwrapInboundIn(data)
        if case .headers(var content) = payload, let authority = content.headers.first(name: ":authority"),
            let host = content.headers.first(name: "host"), host.lowercased() != authority.lowercased()
        {
            // As two hosts it is what HTTP/1.1 would have sent, and refused like that.
            content.headers.add(name: "host", value: authority)
            context.fireChannelRead(wrapInboundOut(.headers(content)))
        } else {
            context.fireChannelRead(data)
        }
    }
}
