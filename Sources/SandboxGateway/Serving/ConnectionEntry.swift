import NIOCore
import Waiting

/// Counts a client's connection in and out, and ends it when TLS is not agreed on in time.
final class ConnectionEntry: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let gate: GateLoop
    private let channel: any Channel
    private let address: String
    private var handshake: LoopTimer?
    /// Whether it is not one too many.
    private(set) var isAdmitted = true

    init(_ gate: GateLoop, _ channel: any Channel) {
        self.gate = gate
        self.channel = channel
        address = channel.remoteAddress?.ipAddress ?? ""
    }

    func handlerAdded(context: ChannelHandlerContext) {
        gate.add(channel)
        isAdmitted = gate.shared.connections.enter(address)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        handshake?.cancel()
        gate.remove(channel)
        gate.shared.connections.leave(address)
    }

    /// Gives TLS its time.
    func expectHandshake() {
        let channel = channel
        let timer = LoopTimer(loop: gate.loop) { channel.reset() }
        timer.set(gate.limits.headDeadline)
        handshake = timer
    }

    func handshakeEnded() {
        handshake?.cancel()
        handshake = nil
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is ChannelShouldQuiesceEvent, handshake != nil {
            channel.reset()
        } else {
            context.fireUserInboundEventTriggered(event)
        }
    }
}
