import DeploymentCore
import Glibc
import NIOCore
import NIOPosix

/// One connection of an app, from its request to the end of both sides. Touched on its event loop only, hence unchecked.
final class Passage: @unchecked Sendable {
    /// The app's side, and that of the host it asked for.
    enum Side {
        case inner
        case outer

        var other: Side { self == .inner ? .outer : .inner }
    }

    enum Phase {
        /// The request is being read.
        case head
        /// A connection to its host is being made.
        case opening
        case passing
        /// An answer of ours, or the last of the host's, is on its way.
        case closing
        case over
    }

    let exit: SandboxExit
    let inner: any Channel
    private(set) var outer: (any Channel)?
    var phase = Phase.head
    var ended: Set<Side> = []
    /// Sides that are not read, since the other one does not take more.
    var stalled: Set<Side> = []
    /// Whether it is one request with a URL, not a tunnel.
    private(set) var isForwarding = false
    var body = BodyExtent.none
    var lastMoved = NIODeadline.now()
    var idleTimer: Scheduled<Void>?
    private var input: [UInt8] = []
    private var searched = 0
    private var pending = ByteBuffer()
    private var timer: Scheduled<Void>?
    private var opening: Task<Void, Never>?
    private var lastFailure: EgressProblem?

    init(_ exit: SandboxExit, inner: any Channel) {
        self.exit = exit
        self.inner = inner
    }

    func channel(_ side: Side) -> (any Channel)? { side == .inner ? inner : outer }

    // MARK: the request

    /// Begins to read the request, within its deadline.
    func begin() {
        guard exit.enter(self) else { return turnAway() }
        timer = inner.eventLoop.scheduleTask(in: TimeAmount(exit.limits.headDeadline)) { [weak self] in
            self?.refuse(.headTimeout)
        }
        inner.read()
    }

    func received(_ buffer: ByteBuffer, from side: Side) {
        switch phase {
        case .head: readHead(buffer)
        // Only what the kernel still held when the app ended its side.
        case .opening: pending.writeImmutableBuffer(buffer)
        case .passing: forward(buffer, from: side)
        case .closing, .over: break
        }
    }

    func readCompleted(_ side: Side) {
        switch phase {
        case .head: inner.read()
        case .passing: readOn(side)
        case .closing: if side == .inner { inner.read() }
        case .opening, .over: break
        }
    }

    private func readHead(_ buffer: ByteBuffer) {
        input += buffer.readableBytesView
        // What is no request is told at once, not at the deadline.
        if let first = input.first, !ProxyRequest.isToken(first) { return refuse(.malformed("this is not http")) }
        guard let end = Self.endOfHead(input, from: searched) else {
            searched = max(0, input.count - 3)
            if input.count > exit.limits.head { refuse(.headTooLarge) }
            return
        }
        guard end <= exit.limits.head else { return refuse(.headTooLarge) }
        do throws(EgressProblem) {
            let request = try ProxyRequest.parse(input[..<(end - 4)], limits: exit.limits)
            pending.writeBytes(input[end...])
            input = []
            open(request)
        } catch {
            refuse(error)
        }
    }

    /// The index behind the blank line; nil before it has come.
    private static func endOfHead(_ bytes: [UInt8], from start: Int) -> Int? {
        guard bytes.count >= 4 else { return nil }
        for index in start...(bytes.count - 4)
        where bytes[index] == 13 && bytes[index + 1] == 10 && bytes[index + 2] == 13 && bytes[index + 3] == 10 {
            return index + 4
        }
        return nil
    }

    // MARK: the connection

    private func open(_ request: ProxyRequest) {
        phase = .opening
        timer?.cancel()
        timer = nil
        let loop = inner.eventLoop
        opening = exit.start { [exit] in
            let result = await exit.addresses(of: request.target)
            loop.execute { self.found(result, request) }
        }
    }

    private func found(_ result: Result<[IPAddress], EgressProblem>, _ request: ProxyRequest) {
        opening = nil
        guard phase == .opening else { return }
        switch result {
        case .success(let addresses):
            connect(addresses[...], request, until: .now() + TimeAmount(exit.limits.connectDeadline))
        case .failure(let problem): refuse(problem)
        }
    }

    /// Tries one address after the other; none but these.
    private func connect(_ addresses: ArraySlice<IPAddress>, _ request: ProxyRequest, until deadline: NIODeadline) {
        guard phase == .opening else { return }
        let left = deadline - .now()
        guard let address = addresses.first, left > .zero else {
            return refuse(lastFailure ?? .connectTimeout("\(request.target)"))
        }
        let limits = exit.limits
        let connecting: EventLoopFuture<any Channel>
        do {
            let socket = try SocketAddress(
                packedIPAddress: ByteBuffer(bytes: address.bytes), port: request.target.port)
            connecting = ClientBootstrap(group: inner.eventLoop)
                .connectTimeout(min(left, TimeAmount(limits.attemptDeadline)))
                .channelOption(.tcpOption(.tcp_nodelay), value: 1)
                .passing(limits)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(PassageEnd(self, .outer))
                    }
                }
                .connect(to: socket)
        } catch {
            return refuse(.unreachable("\(request.target)", "\(error)"))
        }
        connecting.whenComplete { [self] result in
            switch result {
            case .success(let channel): connected(channel, request)
            case .failure(let error):
                lastFailure = Self.problem(error, request.target)
                connect(addresses.dropFirst(), request, until: deadline)
            }
        }
    }

    private static func problem(_ error: any Error, _ target: EgressTarget) -> EgressProblem {
        if case ChannelError.connectTimeout = error { return .connectTimeout("\(target)") }
        guard let error = error as? IOError else { return .unreachable("\(target)", "no connection") }
        if error.errnoCode == ETIMEDOUT { return .connectTimeout("\(target)") }
        return .unreachable("\(target)", String(cString: strerror(error.errnoCode)).lowercased())
    }

    private func connected(_ channel: any Channel, _ request: ProxyRequest) {
        guard phase == .opening else { return channel.close(promise: nil) }
        outer = channel
        phase = .passing
        lastMoved = .now()
        switch request.kind {
        case .tunnel:
            inner.writeAndFlush(ByteBuffer(string: "HTTP/1.1 200 Connection established\r\n\r\n"), promise: nil)
        case .forward(let head, let extent):
            isForwarding = true
            body = extent
            exit.count(head.count, from: .inner)
            channel.write(ByteBuffer(bytes: head), promise: nil)
        }
        let early = pending
        pending = ByteBuffer()
        forward(early, from: .inner)
        awaitIdleness(for: exit.limits.idle)
        if ended.contains(.inner) {
            channel.flush()
            passEnd(of: .inner)
        }
        readOn(.inner)
        readOn(.outer)
    }

    // MARK: ends

    /// Nothing more comes from a side.
    func sideEnded(_ side: Side) {
        guard ended.insert(side).inserted else { return }
        switch phase {
        case .head: inner.close(promise: nil)
        case .opening, .over: break
        case .passing: passEnd(of: side)
        case .closing: if side == .inner { inner.close(promise: nil) }
        }
    }

    /// A side is gone.
    func closed(_ side: Side) {
        if side == .outer { return finish() }
        phase = .over
        timer?.cancel()
        idleTimer?.cancel()
        opening?.cancel()
        outer?.close(promise: nil)
        exit.leave(self)
    }

    /// Answers with a problem and ends; nothing that the app has sent or sends now goes anywhere.
    func refuse(_ problem: EgressProblem) {
        guard phase == .head || phase == .opening else { return }
        phase = .closing
        input = []
        pending = ByteBuffer()
        exit.tell(problem)
        inner.writeAndFlush(ByteBuffer(bytes: problem.response())).whenComplete { [self] _ in linger() }
    }

    /// Says that there is no room; when that is said to too many already, the rest is closed at once.
    private func turnAway() {
        if exit.turnAway(self) { return refuse(.tooManyConnections) }
        phase = .closing
        inner.writeAndFlush(ByteBuffer(bytes: EgressProblem.tooManyConnections.response())).whenComplete { [inner] _ in
            inner.close(promise: nil)
        }
    }

    /// Ends our side, and reads the rest of the app's for a moment, since closing before would destroy the answer.
    func linger() {
        timer?.cancel()
        guard !ended.contains(.inner) else { return inner.close(promise: nil) }
        inner.close(mode: .output, promise: nil)
        inner.read()
        timer = inner.eventLoop.scheduleTask(in: TimeAmount(exit.limits.lingering)) { [inner] in
            inner.close(promise: nil)
        }
    }
}
