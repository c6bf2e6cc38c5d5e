import CPlatform
import Glibc

/// Connects to ports and unix sockets in here on request, and hands the connected sockets out.
///
/// The client writes `CONNECT 8080\n` or `CONNECT unix:/path\n`; the answer is `F` with the socket beside it, or `!`
/// and a 4-byte big-endian errno. Where no descriptor can leave, `F` comes alone and the connection goes on as the one
/// that was asked for.
final class PortBridge {
    private enum Target {
        case port(Int)
        case path(String)
    }
    /// The longest wait for a connection, in milliseconds.
    static let connectLimit: Int64 = 2000
    private static let prefix = Array("CONNECT ".utf8)
    private static let lineLimit = 4096

    private unowned let connection: Connection
    private let agent: Agent
    private var attempt: ConnectAttempt?
    private var answer: (bytes: [UInt8], passed: Int32)?

    private init(connection: Connection, agent: Agent) {
        self.connection = connection
        self.agent = agent
    }

    /// A bridge when the connection begins with a request for a port; needs the whole first line or what decides it.
    static func recognise(_ input: [UInt8], connection: Connection, agent: Agent) -> PortBridge? {
        guard input.starts(with: prefix) else { return nil }
        return PortBridge(connection: connection, agent: agent)
    }

    /// Whether a request is under way.
    var isBusy: Bool { attempt != nil || answer != nil }

    /// Whether an answer waits for the socket.
    var hasAnswer: Bool { answer != nil }

    /// Takes one request off the front and gives the rest; nil when the line is longer than any request.
    func take(_ input: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        guard !isBusy else { return input }
        guard let end = input.firstIndex(of: UInt8(ascii: "\n")) else {
            return input.count > Self.lineLimit ? nil : input
        }
        begin(Self.target(input[..<end]))
        return input[(end + 1)...]
    }

    private static func target(_ line: ArraySlice<UInt8>) -> Target? {
        guard line.starts(with: prefix), line.count <= lineLimit,
            let text = String(validating: line.dropFirst(prefix.count), as: UTF8.self)
        else { return nil }
        if text.hasPrefix("unix:/"), !text.utf8.contains(0) { return .path(String(text.dropFirst(5))) }
        guard text.allSatisfy({ $0.isASCII && $0.isNumber }), let port = Int(text), (1...65_535).contains(port) else {
            return nil
        }
        return .port(port)
    }

    private func begin(_ target: Target?) {
        switch target {
        case nil: reply(failure: EINVAL)
        case .path(let path): attempt(berth_unix_connect_begin(path), next: nil)
        case .port(let port):
            // The address of IPv6 only when nobody listens on that of IPv4; a refusal of both is told as the first.
            attempt(berth_tcp_connect_begin(Int32(port), 0)) { berth_tcp_connect_begin(Int32(port), 1) }
        }
    }

    private func attempt(_ descriptor: Int32, next: (() -> Int32)?) {
        guard descriptor >= 0 else { return settle(descriptor, error: -descriptor, next: next) }
        attempt = ConnectAttempt(descriptor: descriptor, loop: agent.loop, limit: Self.connectLimit) { [self] error in
            // It may give its socket away, and is nobody's then.
            let connection = connection
            attempt = nil
            settle(descriptor, error: error, next: next)
            if !isBusy { connection.portAnswered() }
        }
    }

    private func settle(_ descriptor: Int32, error: Int32, next: (() -> Int32)?) {
        guard error != 0 else {
            if agent.options.relaysPorts { return connection.becomeRelay(to: descriptor) }
            _ = berth_fd_blocking(descriptor)
            return reply([UInt8(ascii: "F")], passing: descriptor)
        }
        if descriptor >= 0 { Glibc.close(descriptor) }
        guard error == ECONNREFUSED, let next else {
            return reply(failure: next == nil && error == EADDRNOTAVAIL ? ECONNREFUSED : error)
        }
        attempt(next(), next: nil)
    }

    private func reply(failure: Int32) {
        let bytes = [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: failure >> $0) }
        reply([UInt8(ascii: "!")] + bytes, passing: -1)
    }

    private func reply(_ bytes: [UInt8], passing descriptor: Int32) {
        answer = (bytes, descriptor)
        flush()
    }

    /// Sends the answer as far as the socket takes it.
    func flush() {
        guard let (bytes, passed) = answer else { return }
        let sent = berth_send_with_descriptor(connection.descriptor, bytes, bytes.count, passed)
        if sent == -Int(EAGAIN) { return }
        if passed >= 0 { Glibc.close(passed) }
        answer = nil
        // Five bytes are taken whole or not at all by a unix socket.
        if sent != bytes.count { connection.close() }
    }

    func close() {
        attempt?.cancel()
        attempt = nil
        if let answer, answer.passed >= 0 { Glibc.close(answer.passed) }
        answer = nil
    }
}

/// One connection being made.
final class ConnectAttempt: EventSource {
    let descriptor: Int32
    private let loop: EventLoop
    private var timer: EventLoop.Timer?
    private var then: ((Int32) -> Void)?

    /// - Parameter then: is given 0 or an errno, once, and from the loop.
    init(descriptor: Int32, loop: EventLoop, limit: Int64, then: @escaping (Int32) -> Void) {
        self.descriptor = descriptor
        self.loop = loop
        self.then = then
        loop.add(self)
        timer = loop.schedule(after: limit) { [weak self] in self?.finish(ETIMEDOUT) }
    }

    var interest: Int16 { .writable }

    func ready(_ events: Int16) { finish(-berth_connect_result(descriptor)) }

    private func finish(_ error: Int32) {
        let then = self.then
        stop()
        then?(error)
    }

    private func stop() {
        then = nil
        loop.remove(self)
        loop.cancel(&timer)
    }

    /// Gives up; the descriptor is closed and nobody is told.
    func cancel() {
        stop()
        Glibc.close(descriptor)
    }
}
