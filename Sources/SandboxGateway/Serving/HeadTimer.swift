import NIOCore

/// Sees the bytes of an HTTP/1.1 connection before they are parsed: a head that has begun has to end in time.
final class HeadTimer: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    /// What is being waited for.
    private enum Phase { case firstByte, head, nothing }

    private let limits: SandboxGatewayLimits
    private let loop: any EventLoop
    private var phase = Phase.firstByte
    private var timer: LoopTimer?
    /// Called when the time is over: with whether a head has begun.
    var passed: ((_ hasBegun: Bool) -> Void)?

    init(_ gate: GateLoop, _ loop: any EventLoop) {
        limits = gate.limits
        self.loop = loop
    }

    func handlerAdded(context: ChannelHandlerContext) {
        let timer = LoopTimer(loop: loop) { [weak self] in
            guard let self else { return }
            passed?(phase == .head)
        }
        // A connection that says nothing from its start has no better claim than a slow head.
        timer.set(limits.headDeadline)
        self.timer = timer
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        timer?.cancel()
        timer = nil
        passed = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if phase == .firstByte {
            phase = .head
            timer?.cancel()
            timer?.set(limits.headDeadline)
        }
        context.fireChannelRead(data)
    }

    /// A head is complete.
    func headCame() {
        phase = .nothing
        timer?.cancel()
    }

    /// The next head is waited for.
    func expectHead() {
        phase = .firstByte
        timer?.cancel()
        timer?.set(limits.keepAliveIdle)
    }
}
