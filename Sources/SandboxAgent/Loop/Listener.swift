import CPlatform
import Glibc

/// A listening socket.
final class Listener: EventSource {
    /// The pause when there are no descriptors left, in milliseconds; a connection that waits would be told at once.
    private static let pause: Int64 = 100
    let descriptor: Int32
    var whenReady: () -> Void = {}
    private var isPaused = false

    init(descriptor: Int32) { self.descriptor = descriptor }

    var interest: Int16 { isPaused ? 0 : .readable }

    func ready(_ events: Int16) { whenReady() }

    /// The next connection, non-blocking; nil when none waits or none can be taken now.
    func accept(_ loop: EventLoop) -> Int32? {
        let accepted = berth_accept(descriptor)
        if accepted >= 0 { return accepted }
        if [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(-accepted) {
            isPaused = true
            _ = loop.schedule(after: Self.pause) { [weak self] in self?.isPaused = false }
        }
        return nil
    }
}
