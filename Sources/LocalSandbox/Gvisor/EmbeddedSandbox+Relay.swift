import CPlatform
import DeploymentCore
import Glibc
import Sandboxes

extension EmbeddedSandbox {
    /// How long an agent may take for one connection.
    private static let relayTimeout = Duration.seconds(2)
    /// The pause between attempts while the agent's queue is full.
    private static let queuePause = Duration.milliseconds(5)

    /// Asks the agent for a connection whose bytes it passes on, since no descriptor leaves gVisor.
    ///
    /// - Throws: `refusal` when nobody listens at `target`; `unreachable` or `timeout` when the agent gives none.
    func relayed(_ target: String, refusal: any Error) async throws -> Int32 {
        let deadline = ContinuousClock.now + Self.relayTimeout
        let connection = try await agentConnection(until: deadline)
        let line = Array("CONNECT \(target)\n".utf8)
        // A fresh socket takes a line whole.
        guard send(connection.number, line, line.count, Int32(MSG_NOSIGNAL)) == line.count else { throw failure(errno) }
        guard try await ExitWatch.wait(connection, limit: deadline - .now) else { throw failure(ETIMEDOUT) }
        var refused: Int32 = 0
        let left = max(1, (deadline - .now).wholeMilliseconds)
        var result = berth_request_stream(connection.number, "", 0, left, &refused)
        if result == -EREMOTEIO {
            if refused == ECONNREFUSED || refused == ENOENT { throw refusal }
            result = -refused
        }
        if result == 0 { result = berth_fd_blocking(connection.number) }
        guard result == 0 else { throw failure(-result) }
        // The caller's own; the watch closes the other one when it is done with it.
        let copy = fcntl(connection.number, F_DUPFD_CLOEXEC, 0)
        guard copy >= 0 else { throw failure(errno) }
        return copy
    }

    private func agentConnection(until deadline: ContinuousClock.Instant) async throws -> Descriptor {
        while true {
            try Task.checkCancellation()
            let number = berth_unix_connect(root.number, socket)
            if number >= 0 { return Descriptor(number) }
            guard number == -EAGAIN else { throw failure(-number) }
            guard ContinuousClock.now < deadline else { throw failure(ETIMEDOUT) }
            try await Task.sleep(for: Self.queuePause)
        }
    }

    private func failure(_ number: Int32) -> BerthError {
        BerthError(
            number == ETIMEDOUT ? .timeout : .unreachable,
            "the sandbox's agent gives no connection: \(String(cString: strerror(number)))")
    }
}
