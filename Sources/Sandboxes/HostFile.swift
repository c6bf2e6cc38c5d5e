import CurlClient
import DeploymentCore
import Glibc

/// A file of this machine on its way into a sandbox, never as a whole in memory.
enum HostFile {
    /// The bytes that are read at once.
    static let part = 256 << 10

    /// The body that sends the first `length` bytes.
    ///
    /// - Parameter progress: told the bytes so far, after each part.
    static func body(
        _ path: String, length: Int64, progress: @escaping @Sendable (Int64) -> Void
    ) -> HTTPRequest.Body {
        .stream { writer in
            let descriptor = open(path, O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else {
                throw BerthError(.artifact, "cannot read \(path): \(String(cString: strerror(errno)))")
            }
            defer { close(descriptor) }
            var buffer = [UInt8](repeating: 0, count: part)
            var sent: Int64 = 0
            while sent < length {
                let count = read(descriptor, &buffer, min(buffer.count, Int(clamping: length - sent)))
                guard count > 0 else { throw BerthError(.artifact, "\(path) is shorter than it was") }
                try await writer.write(buffer[..<count])
                sent += Int64(count)
                progress(sent)
            }
        }
    }
}

extension Sandbox {
    /// Through the agent; as a whole where there is none.
    public func upload(
        _ file: String, length: Int64, to path: String, executable: Bool, timeout: Duration,
        progress: @escaping @Sendable (Int64) -> Void
    ) async throws {
        guard let agent else { throw BerthError(.sandbox, "sandbox \(id) has no agent that takes files") }
        try await agent.upload(
            file: file, length: length, to: path, executable: executable, timeout: timeout, progress: progress)
    }
}

extension EnvdClient {
    /// Streams the first `length` bytes of a file of this machine into the sandbox; `progress` is told the bytes so far.
    public func upload(
        file: String, length: Int64, to path: String, executable: Bool, timeout: Duration,
        progress: @escaping @Sendable (Int64) -> Void
    ) async throws {
        try await upload(
            HostFile.body(file, length: length, progress: progress), to: path, executable: executable, timeout: timeout)
    }
}
