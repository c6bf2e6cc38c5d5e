import E2BProtocol
import Glibc

/// The agent's end of a process's standard input.
final class StandardInput: EventSource {
    /// Bytes that may wait for the process to read them.
    static let limit = 4 << 20
    /// Waiting bytes over which a stream of input is held up.
    static let highMark = 256 << 10
    let descriptor: Int32
    private let loop: EventLoop
    private var queue = OutputQueue()
    private var closesWhenWritten = false
    private var waiters: [() -> Void] = []
    private(set) var isOpen = true

    init(descriptor: Int32, loop: EventLoop) {
        self.descriptor = descriptor
        self.loop = loop
        loop.add(self)
    }

    var interest: Int16 { queue.isEmpty ? 0 : .writable }

    var isFull: Bool { isOpen && queue.count > Self.highMark }

    func ready(_ events: Int16) { flush() }

    func write(_ bytes: [UInt8]) throws(ConnectError) {
        guard isOpen, !closesWhenWritten else {
            throw ConnectError(.failedPrecondition, "the standard input of the process is closed")
        }
        guard queue.count + bytes.count <= Self.limit else {
            throw ConnectError(.resourceExhausted, "the process does not read its standard input")
        }
        queue.append(bytes)
        flush()
    }

    private func flush() {
        // A process that has closed its end is no error of the writer; what waits has no reader any more.
        if queue.flush(to: descriptor) != 0 { return close() }
        if queue.isEmpty, closesWhenWritten { return close() }
        if !isFull { wake() }
    }

    /// Calls `action` when it is no longer full or is closed.
    func whenRoom(_ action: @escaping () -> Void) { waiters.append(action) }

    private func wake() {
        let waiting = waiters
        waiters = []
        for action in waiting { action() }
    }

    func closeWhenWritten() {
        closesWhenWritten = true
        if queue.isEmpty { close() }
    }

    func close() {
        guard isOpen else { return }
        isOpen = false
        queue.removeAll()
        loop.remove(self)
        Glibc.close(descriptor)
        wake()
    }
}
