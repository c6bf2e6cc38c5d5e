import E2BProtocol
import Glibc

/// The agent's end of a process's standard output or error, or of its terminal.
final class ProcessPipe: EventSource {
    /// The most bytes of one data event (envd: 32 KiB).
    static let chunkLimit = 32 << 10
    let descriptor: Int32
    private let loop: EventLoop
    private unowned let process: ManagedProcess
    private let event: ([UInt8]) -> ProcessEvent
    private(set) var isOpen = true

    init(
        descriptor: Int32, loop: EventLoop, process: ManagedProcess, event: @escaping ([UInt8]) -> ProcessEvent
    ) {
        self.descriptor = descriptor
        self.loop = loop
        self.process = process
        self.event = event
        loop.add(self)
    }

    var interest: Int16 { process.isHeldUp ? 0 : .readable }

    func ready(_ events: Int16) { _ = readOnce() }

    /// The bytes read; nil when none wait or the pipe has ended.
    private func readOnce() -> Int? {
        guard isOpen, let bytes = readAvailable(descriptor, limit: Self.chunkLimit) else { return nil }
        guard !bytes.isEmpty else {
            close()
            process.pipeEnded()
            return nil
        }
        process.publish(event(bytes), size: bytes.count)
        return bytes.count
    }

    /// Takes what the process left behind, at most `limit` bytes: others may hold the pipe and go on writing.
    func drain(limit: Int) {
        var count = 0
        while count < limit, let size = readOnce() { count += size }
    }

    func close() {
        guard isOpen else { return }
        isOpen = false
        loop.remove(self)
        Glibc.close(descriptor)
    }
}
