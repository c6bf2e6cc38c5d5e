import CPlatform
import ControlPlane
import DeploymentCore
import Foundation
import Glibc

/// Starts `berth serve` in a session of its own and waits for its word over a pipe.
struct BackgroundServer {
    let configuration: Configuration

    /// Starts it; returns where it listens.
    ///
    /// - Throws: what the server said when it ended instead, or `timeout`.
    func start() async throws -> Endpoint {
        try FileManager.default.createDirectory(
            atPath: configuration.home, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        let logPath = configuration.path("serve.log")
        let log = open(logPath, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0o600)
        guard log >= 0 else {
            throw BerthError(.storageFull, "cannot write \(logPath): \(String(cString: strerror(errno)))")
        }
        defer { close(log) }
        let logStart = lseek(log, 0, SEEK_END)
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw BerthError(.internalError, "cannot make a pipe") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        defer { close(ends[0]) }
        let result = spawn(log: log, ready: ends[1])
        close(ends[1])
        guard result == 0 else {
            throw BerthError(.internalError, "cannot start berth serve: \(String(cString: strerror(-result)))")
        }
        let answer = await Self.read(ends[0], within: Connection.startDeadline)
        if let endpoint = try? JSONDecoder().decode(Endpoint.self, from: Data(answer)) { return endpoint }
        // Another client may have won the race to start one.
        if let endpoint = try await Connection.runningEndpoint(configuration) { return endpoint }
        throw BerthError(
            .unreachable, "the control plane did not start: \(Self.tail(logPath, from: logStart))",
            suggestion: "run `berth serve` to see all of it")
    }

    private func spawn(log: Int32, ready: Int32) -> Int32 {
        let arguments = [Connection.executable, "serve", "--ready-descriptor", "3"]
        let variables = ProcessInfo.processInfo.environment.map { "\($0.key)=\($0.value)" }
        let argv = arguments.map { strdup($0) } + [nil]
        let envp = variables.map { strdup($0) } + [nil]
        defer { for pointer in argv + envp { free(pointer) } }
        let mappings = [
            berth_fd_mapping(source: log, target: 1), berth_fd_mapping(source: log, target: 2),
            berth_fd_mapping(source: ready, target: 3),
        ]
        var pid: pid_t = 0
        return berth_spawn(&pid, Connection.executable, argv, envp, "/", mappings, Int32(mappings.count), 1)
    }

    /// Reads until the other side closes; on a thread of its own, as a cooperative one must not block.
    private static func read(_ descriptor: Int32, within limit: Duration) async -> [UInt8] {
        await withCheckedContinuation { continuation in
            Thread {
                var bytes: [UInt8] = []
                var buffer = [UInt8](repeating: 0, count: 4_096)
                let deadline = ContinuousClock.now + limit
                while ContinuousClock.now < deadline {
                    var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
                    let left = (deadline - ContinuousClock.now).components.seconds + 1
                    guard poll(&waiting, 1, Int32(left * 1_000)) > 0 else { break }
                    let count = Glibc.read(descriptor, &buffer, buffer.count)
                    guard count > 0 else { break }
                    bytes += buffer[..<count]
                }
                continuation.resume(returning: bytes)
            }.start()
        }
    }

    private static func tail(_ path: String, from offset: off_t) -> String {
        guard let handle = FileHandle(forReadingAtPath: path) else { return "no output" }
        defer { try? handle.close() }
        try? handle.seek(toOffset: UInt64(max(0, offset)))
        let text = String(decoding: (try? handle.readToEnd()) ?? Data(), as: UTF8.self)
        let lines = text.split(separator: "\n").suffix(5).joined(separator: "; ")
        return lines.isEmpty ? "it said nothing within \(Connection.startDeadline)" : lines
    }
}
