import NIOCore
import NIOHTTP2

/// Tells which streams of a connection begin and end, each once and in this order.
///
/// A stream whose head is refused ends inside its own beginning, and its end is told first; the handler that counts them
/// takes that for a fault. Touched on the connection's event loop only, hence unchecked.
final class StreamLedger: NIOHTTP2StreamDelegate, @unchecked Sendable {
    private let next: any NIOHTTP2StreamDelegate
    private var open: Set<HTTP2StreamID> = []
    private var endedEarly: Set<HTTP2StreamID> = []

    init(_ next: any NIOHTTP2StreamDelegate) { self.next = next }

    func streamCreated(_ id: HTTP2StreamID, channel: any Channel) {
        guard endedEarly.remove(id) == nil else { return }
        open.insert(id)
        next.streamCreated(id, channel: channel)
    }

    func streamClosed(_ id: HTTP2StreamID, channel: any Channel) {
        if open.remove(id) != nil {
            next.streamClosed(id, channel: channel)
        } else {
            endedEarly.insert(id)
        }
    }
}
