import Glibc
import NIOCore
import NIOSSL

extension Channel {
    /// Ends a connection so that the other side sees that it broke: a TCP reset without a farewell of TLS, or, for a
    /// stream of HTTP/2, its RST_STREAM. On the channel's event loop only.
    func reset() {
        guard let socket = self as? any SocketOptionProvider else {
            close(promise: nil)
            parent?.flush()
            return
        }
        // On the loop it is set at once.
        _ = socket.setSoLinger(linger(l_onoff: 1, l_linger: 0))
        if let secured = try? pipeline.syncOperations.context(handlerType: NIOSSLServerHandler.self) {
            // Below TLS, which would say goodbye first.
            secured.close(mode: .all, promise: nil)
        } else {
            close(promise: nil)
        }
    }
}
