import CPlatform
import Glibc

/// The way out of the sandbox: a TCP port in here whose connections are passed on to a unix socket of the host, where
/// a proxy decides what they may reach.
final class EgressBridge {
    /// Connections at once; more are closed as they come.
    static let connectionLimit = 256
    /// Attempts to reach a host whose queue is full, and the pause between them in milliseconds.
    private static let attemptLimit = 500
    private static let attemptPause: Int64 = 10
    private let path: String
    private let loop: EventLoop
    private let listener: Listener
    private var relays: [ObjectIdentifier: Relay] = [:]
    private var waitingCount = 0

    /// nil when the port cannot be listened on.
    init?(path: String, port: Int, loop: EventLoop) {
        let descriptor = berth_tcp_listen(Int32(port))
        guard descriptor >= 0 else { return nil }
        self.path = path
        self.loop = loop
        listener = Listener(descriptor: descriptor)
        listener.whenReady = { [unowned self] in acceptAll() }
        loop.add(listener)
    }

    private func acceptAll() {
        while let inner = listener.accept(loop) {
            if relays.count + waitingCount < Self.connectionLimit {
                connect(inner, attempt: 0)
            } else {
                close(inner)
            }
        }
    }

    private func connect(_ inner: Int32, attempt: Int) {
        let outer = berth_unix_connect_begin(path)
        // The host has not yet taken those who came before.
        if outer == -EAGAIN, attempt < Self.attemptLimit {
            waitingCount += 1
            _ = loop.schedule(after: Self.attemptPause) { [self] in
                waitingCount -= 1
                connect(inner, attempt: attempt + 1)
            }
            return
        }
        guard outer >= 0 else {
            close(inner)
            return
        }
        let relay = Relay(inner, outer, loop: loop) { [unowned self] in relays[ObjectIdentifier($0)] = nil }
        relays[ObjectIdentifier(relay)] = relay
    }
}
