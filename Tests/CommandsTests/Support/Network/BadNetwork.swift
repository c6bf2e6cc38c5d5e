import DeploymentCore
import Foundation

/// A network that can be made to fail: a TCP proxy that knows every call that passes by its name.
///
/// One thread for each connection, one call at a time on it. A request is read as a whole before anything of it is
/// passed on, an answer goes on as it comes.
final class BadNetwork: Sendable {
    /// How one call goes wrong.
    enum Fault: String, Sendable, CaseIterable {
        /// The connection breaks before anything of the request has arrived.
        case before
        /// Half of the request arrives.
        case duringRequest
        /// The request is carried out, and half of its answer arrives; of one without an end, its first part.
        case duringAnswer
        /// The request is carried out, and nothing of its answer arrives.
        case after
        /// Nothing arrives, and nobody says so.
        case hang
        /// Everything is cut from this call on, which does not arrive.
        case cutOff
    }

    private struct State {
        var latency: Duration?
        var fault: (fault: Fault, name: String)?
        /// What goes wrong with the first call of each name, in turn.
        var troubles: [Fault] = []
        var listener: LoopbackListener?
        var connections: [ObjectIdentifier: NetworkSocket] = [:]
        /// The names of all calls that began, in their order.
        var calls: [String] = []
        /// The names of all calls whose answer arrived.
        var answered: [String] = []
        var waiters: [@Sendable (State) -> Bool] = []
    }

    /// Where it listens.
    let port: Int
    private let farPort: Int
    private let reservation: NetworkSocket
    private let state = Locked(State())
    private let threads = DispatchGroup()

    /// Listens on a port of the kernel's choice, and passes on to `farPort`, both of 127.0.0.1.
    init(to farPort: Int) throws {
        self.farPort = farPort
        // Keeps the port while nobody listens on it.
        (reservation, port) = try NetworkSocket.bound(to: 0)
        try heal()
    }

    var url: String { "http://127.0.0.1:\(port)" }

    // MARK: what goes wrong

    /// Lets the next call of this name go wrong.
    func plan(_ fault: Fault, on name: String) { state.withLock { $0.fault = (fault, name) } }

    /// Lets the first call of each name from now on go wrong, by the faults in turn.
    func trouble(_ faults: [Fault]) {
        state.withLock { state in
            state.calls = []
            state.troubles = faults
        }
    }

    /// Whether what was planned has happened.
    var hasHappened: Bool { state.withLock { $0.fault == nil } }

    /// Delays every part that passes, in both directions.
    func slow(by latency: Duration?) { state.withLock { $0.latency = latency } }

    /// Breaks every connection, and refuses all others.
    func cut() {
        let (listener, open) = state.withLock { state in
            defer { state.listener = nil }
            return (state.listener, Array(state.connections.values))
        }
        listener?.close()
        for socket in open { socket.cut() }
    }

    /// Takes connections again; nothing goes wrong any more.
    func heal() throws {
        let isCut = state.withLock { state in
            state.fault = nil
            state.troubles = []
            state.latency = nil
            return state.listener == nil
        }
        guard isCut else { return }
        let listener = try LoopbackListener(port)
        state.withLock { $0.listener = listener }
        run { [self] in
            while let socket = listener.accept() { run { [self] in serve(socket) } }
        }
    }

    /// Breaks everything, and waits until nothing is left of it.
    func close() {
        cut()
        threads.wait()
        reservation.close()
    }

    // MARK: what passed

    /// The names of the calls so far, each once, in the order of their first time.
    var names: [String] {
        state.withLock { state in
            var known: Set<String> = []
            return state.calls.filter { known.insert($0).inserted }
        }
    }

    /// How many calls of this name were answered so far.
    func answers(to name: String) -> Int { state.withLock { state in state.answered.count { $0 == name } } }

    /// Suspends until so many calls of this name were answered.
    func awaits(_ count: Int, answersTo name: String) async {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            state.withLock { state in
                let waiter: @Sendable (State) -> Bool = { state in
                    guard state.answered.count(where: { $0 == name }) >= count else { return false }
                    continuation.resume()
                    return true
                }
                if !waiter(state) { state.waiters.append(waiter) }
            }
        }
    }

    // MARK: passing on

    private func run(_ body: @escaping @Sendable () -> Void) {
        threads.enter()
        Thread { [threads] in
            body()
            threads.leave()
        }.start()
    }

    private func serve(_ near: NetworkSocket) {
        guard open(near) else { return near.reset() }
        var far: NetworkSocket?
        var isBroken = false
        while let request = near.readRequest() {
            let name = request.name
            let fault = begin(name)
            isBroken = fault != nil
            if fault == .cutOff { cut() }
            if fault == .before || fault == .cutOff { break }
            if fault == .hang {
                near.awaitEnd()
                break
            }
            if far == nil, let socket = NetworkSocket.connected(to: farPort), open(socket) { far = socket }
            guard let far else { break }
            guard send(fault == .duringRequest ? request.half : request.bytes, to: far), fault != .duringRequest,
                passAnswer(to: request, from: far, to: near, fault)
            else { break }
            finish(name)
        }
        if isBroken { near.reset() } else { near.close() }
        far?.close()
        forget(near)
        if let far { forget(far) }
    }

    /// False when there is nothing left of the connection.
    private func passAnswer(
        to request: NetworkRequest, from far: NetworkSocket, to near: NetworkSocket, _ fault: Fault?
    ) -> Bool {
        var framing = AnswerFraming(request.method)
        var held: [UInt8] = []
        while !framing.isComplete {
            guard let part = far.read(orEndOf: near), !part.isEmpty else {
                // Where the end of the connection is the end of the answer, it has to be told.
                return false
            }
            framing.take(part)
            guard fault == nil else {
                held += part
                if framing.isEndless, framing.hasBody { break }
                continue
            }
            guard send(part, to: near) else { return false }
        }
        switch fault {
        case nil: return true
        case .duringAnswer?: _ = near.send(framing.isEndless ? held[...] : held.prefix(max(1, held.count / 2)))
        default: break
        }
        return false
    }

    /// The bytes that a slow network passes on at once.
    private static let part = 64 << 10

    private func send(_ bytes: [UInt8], to socket: NetworkSocket) -> Bool {
        guard state.withLock({ $0.latency }) != nil else { return socket.send(bytes[...]) }
        for start in stride(from: 0, to: bytes.count, by: Self.part) {
            // A delay of the network is what is wrong here.
            if let latency = state.withLock({ $0.latency }) { Thread.sleep(forTimeInterval: latency / .seconds(1)) }
            guard socket.send(bytes[start..<min(start + Self.part, bytes.count)]) else { return false }
        }
        return true
    }

    // MARK: keeping count

    private func open(_ socket: NetworkSocket) -> Bool {
        state.withLock { state in
            guard state.listener != nil else { return false }
            state.connections[ObjectIdentifier(socket)] = socket
            return true
        }
    }

    private func forget(_ socket: NetworkSocket) {
        state.withLock { state in state.connections[ObjectIdentifier(socket)] = nil }
    }

    private func begin(_ name: String) -> Fault? {
        state.withLock { state in
            let known = Set(state.calls)
            state.calls.append(name)
            if !state.troubles.isEmpty, !known.contains(name) {
                return state.troubles[known.count % state.troubles.count]
            }
            guard let fault = state.fault, fault.name == name else { return nil }
            state.fault = nil
            return fault.fault
        }
    }

    private func finish(_ name: String) {
        state.withLock { state in
            state.answered.append(name)
            let waiters = state.waiters
            state.waiters = waiters.filter { [state] in !$0(state) }
        }
    }
}
