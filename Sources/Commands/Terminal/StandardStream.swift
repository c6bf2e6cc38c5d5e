import DeploymentCore
import Dispatch
import Foundation

/// Standard input as it comes; waiting for it ends when the reader is cancelled.
final class InputReader: Sendable {
    /// The most bytes of one reading.
    static let maximumPart = 64 << 10

    private let descriptor: Int32
    private let wake: (reader: Int32, writer: Int32)

    /// - Throws: `internal_error` when there are no descriptors left.
    init(_ descriptor: Int32 = 0) throws {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else {
            throw BerthError(.internalError, "cannot make a pipe: \(String(cString: strerror(errno)))")
        }
        for end in ends {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
        }
        self.descriptor = descriptor
        wake = (ends[0], ends[1])
    }

    deinit {
        close(wake.reader)
        close(wake.writer)
    }

    /// The next bytes; nil at the end, or when the task is cancelled.
    func next() async -> [UInt8]? {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                // A thread that may block: those of tasks are few.
                DispatchQueue.global().async { continuation.resume(returning: self.read()) }
            }
        } onCancel: {
            var byte: UInt8 = 0
            _ = write(wake.writer, &byte, 1)
        }
    }

    private func read() -> [UInt8]? {
        while true {
            var waiting = [
                pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
                pollfd(fd: wake.reader, events: Int16(POLLIN), revents: 0),
            ]
            guard poll(&waiting, 2, -1) > 0 || errno == EINTR else { return nil }
            if waiting[1].revents != 0 { return nil }
            guard waiting[0].revents != 0 else { continue }
            var buffer = [UInt8](repeating: 0, count: Self.maximumPart)
            let count = Foundation.read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR || errno == EAGAIN { continue }
            return count > 0 ? Array(buffer[..<count]) : nil
        }
    }
}

/// Standard output or standard error, written as it is, waiting while nobody takes it.
struct OutputWriter: Sendable {
    let descriptor: Int32

    /// - Throws: `unreachable` when nobody reads any more, `storage_full` when it is a file and the disk is full.
    func write(_ bytes: [UInt8]) async throws {
        let failure = await withCheckedContinuation { continuation in
            DispatchQueue.global().async { continuation.resume(returning: writeAll(bytes)) }
        }
        guard failure != 0 else { return }
        throw BerthError(
            failure == ENOSPC ? .storageFull : .unreachable,
            "cannot write the output: \(String(cString: strerror(failure)))")
    }

    /// 0, or an errno.
    private func writeAll(_ bytes: [UInt8]) -> Int32 {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Foundation.write(descriptor, $0.baseAddress, $0.count) }
            if count >= 0 {
                rest = rest.dropFirst(count)
            } else if errno == EAGAIN {
                // Whoever shares the terminal may have made it non-blocking.
                var waiting = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                _ = poll(&waiting, 1, -1)
            } else if errno != EINTR {
                return errno
            }
        }
        return 0
    }
}
