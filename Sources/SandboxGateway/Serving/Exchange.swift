import E2BProtocol
import NIOCore
import NIOHTTP1

/// One request and its answer, from the client's side to the port's. Touched on its event loop only, hence unchecked.
final class Exchange: @unchecked Sendable {
    /// How far it is.
    enum Phase {
        /// The way to the port is being found; the client is not read.
        case opening
        /// Both sides are open.
        case passing
        /// The answer is complete; the rest of the request is read and dropped.
        case discarding
        /// Bytes are passed on as they come.
        case tunnel
        case ended
    }

    let gate: GateLoop
    let request: HTTPRequestHead
    var phase = Phase.opening
    var requestEnded = false
    var answerBegan = false
    /// Whether one side of its tunnel says nothing more.
    var isHalfTunnel = false
    /// The port; nil for the control plane, and as long as a signature has not been looked at.
    var name: PortName?
    /// Whether the connection takes another request after this one.
    var keepsAlive: Bool

    weak var client: ClientHandler?
    var upstream: UpstreamHandler?
    var length = RequestCheck.Length.none
    var scheme: String
    var isControlPlane = false
    /// The `Host` that the port sees instead of the client's.
    var host: String?
    var task: Task<Void, Never>?
    var lease: Lease?
    var timer: LoopTimer?
    var lastProgress = NIODeadline.now()
    /// What of the request has come before the way was found; one read at most.
    var held = CircularBuffer<HTTPServerRequestPart>()
    var interimAnswers = 0
    var switching: HTTPResponseHead?
    var tunnelSides: (client: any Channel, port: any Channel)?

    init(_ request: HTTPRequestHead, client: ClientHandler, gate: GateLoop, scheme: String) {
        self.request = request
        self.client = client
        self.gate = gate
        self.scheme = scheme
        // After an upgrade that was asked for, the decoder takes nothing for HTTP any more.
        let asksForUpgrade = RequestCheck.connectionOptions(request.headers).contains("upgrade")
        keepsAlive = request.version.major == 2 || request.isKeepAlive && !asksForUpgrade
    }

    var limits: SandboxGatewayLimits { gate.limits }

    // MARK: beginning

    /// Checks the request and looks for its way.
    func begin(isAdmitted: Bool) {
        gate.add(self)
        let timer = LoopTimer(loop: gate.loop) { [weak self] in self?.timePassed() }
        self.timer = timer
        do throws(GateRefusal) {
            guard isAdmitted else { throw .tooManyConnections }
            guard !gate.isStopping else { throw .stopping }
            length = try RequestCheck.check(request)
            let authority = try RequestCheck.authority(of: request)
            let destination = try Destination(request, authority: authority, domain: gate.shared.domain)
            timer.set(limits.openDeadline)
            if case .port(let name) = destination { self.name = name }
            if destination == .controlPlane {
                isControlPlane = true
                lease = try gate.shared.exchanges.enter()
                gate.openControlPlane(for: self)
            } else {
                task = gate.open(Opening(shared: gate.shared, destination: destination, head: request), for: self)
            }
        } catch {
            refuse(error)
        }
    }

    /// The way is found, the connection is being made.
    func opened(_ lease: Lease, name: PortName, host: String?) {
        task = nil
        self.lease = lease
        self.name = name
        self.host = host
        lease.onReset { [gate] in gate.loop.execute { self.reset() } }
    }

    func openingFailed(_ refusal: GateRefusal) {
        task = nil
        if phase == .opening { refuse(refusal) }
    }

    /// The port is connected: everything so far goes out.
    func connected(_ channel: any Channel) {
        guard phase == .opening,
            let upstream = try? channel.pipeline.syncOperations.handler(type: UpstreamHandler.self)
        else {
            channel.close(promise: nil)
            if phase == .opening { refuse(isControlPlane ? .noControlPlane : .brokeOff(name)) }
            return
        }
        phase = .passing
        self.upstream = upstream
        progressed()
        timer?.set(limits.exchangeIdle)
        if length == .untold { if case .end = held.first { length = .none } else { length = .chunked } }
        upstream.write(
            .head(
                isControlPlane
                    ? Rewriting.controlRequest(request, length: length, scheme: scheme)
                    : Rewriting.request(request, length: length, host: host, hiding: true)))
        while phase == .passing, let part = held.popFirst() { pass(part) }
        if phase == .passing { upstream.flush() }
        client?.resumeReading()
    }

    // MARK: the request

    /// Whether more of the request can be taken now.
    var takesRequest: Bool {
        switch phase {
        case .passing: !requestEnded && upstream?.isWritable == true
        case .discarding: !requestEnded
        case .opening, .tunnel, .ended: false
        }
    }

    /// Takes a part of the request behind its head.
    func take(_ part: HTTPServerRequestPart) {
        progressed()
        if case .end = part { requestEnded = true }
        switch phase {
        case .opening: held.append(part)
        case .passing: pass(part)
        case .discarding: if requestEnded { finish() }
        case .tunnel, .ended: break
        }
    }

    func flushRequest() { if phase == .passing { upstream?.flush() } }

    private func pass(_ part: HTTPServerRequestPart) {
        switch part {
        case .head: break
        case .body(let bytes): upstream?.write(.body(.byteBuffer(bytes)))
        case .end(let trailers): upstream?.write(.end(length == .chunked ? Rewriting.trailers(trailers) : nil))
        }
    }

    /// The client has left, or does not speak HTTP any more.
    func clientLeft() {
        guard phase != .ended else { return }
        phase = .ended
        release()
    }

    /// What came behind the head is not HTTP.
    func requestIsMalformed() {
        if requestEnded {
            // The answer is owed all the same; what came behind the request is not.
            keepsAlive = false
        } else {
            keepsAlive = false
            fail(.malformed)
        }
    }
}
