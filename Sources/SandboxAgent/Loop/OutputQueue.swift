import Glibc

/// Bytes that wait for a descriptor to take them.
struct OutputQueue {
    private var chunks: [[UInt8]] = []
    private var first = 0
    private var offset = 0
    /// Bytes that wait.
    private(set) var count = 0
    private static let compactionThreshold = 64

    var isEmpty: Bool { count == 0 }

    mutating func append(_ bytes: [UInt8]) {
        guard !bytes.isEmpty else { return }
        chunks.append(bytes)
        count += bytes.count
    }

    mutating func removeAll() { self = OutputQueue() }

    /// Writes what the descriptor takes; 0 or the errno of a failure that is not about waiting.
    mutating func flush(to descriptor: Int32) -> Int32 {
        while first < chunks.count {
            let size = chunks[first].count - offset
            let written = chunks[first].withUnsafeBytes { bytes in
                bytes.baseAddress.map { Glibc.write(descriptor, $0 + offset, size) } ?? 0
            }
            if written < 0 {
                if errno == EINTR { continue }
                return errno == EAGAIN ? 0 : errno
            }
            count -= written
            offset += written
            guard written == size else { return 0 }
            chunks[first] = []
            first += 1
            offset = 0
            if first > Self.compactionThreshold, first * 2 > chunks.count {
                chunks.removeSubrange(..<first)
                first = 0
            }
        }
        chunks.removeAll()
        first = 0
        return 0
    }
}

/// Reads at most `limit` bytes: nil when nothing is there yet, empty at the end or when the descriptor is broken.
func readAvailable(_ descriptor: Int32, limit: Int) -> [UInt8]? {
    while true {
        var failure: Int32 = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: limit) { buffer, count in
            let result = Glibc.read(descriptor, buffer.baseAddress, limit)
            if result < 0 { failure = errno }
            count = max(0, result)
        }
        switch failure {
        case EINTR: continue
        case EAGAIN: return nil
        default: return bytes
        }
    }
}
