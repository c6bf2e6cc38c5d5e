import CPlatform
import DeploymentCore
import Glibc
import Sandboxes

extension EmbeddedSandbox {
    /// How long an agent may take for one connection.
    private static let relayTimeout = Duration.seconds(2)
    /// The pause between attempts while the agent's queue is full, in milliseconds.
    private static let queuePause: Int32 = 5

    /// Asks the agent for a connection whose bytes it passes on, since no descriptor leaves gVisor.
    ///
    /// - Throws: `refusal` when nobody listens at `target`; `unreachable` or `timeout` when the agent gives no connection.
    func relayed(_ target: String, refusal: any Error) async throws -> Int32 {
        try Task.checkCancellation()
        let (result, refused) = try await Blocking.run { [root, socket] in
            Self.request("CONNECT \(target)\n", root: root, socket: socket)
        }
        guard result >= 0 else {
            if result == -EREMOTEIO, refused == ECONNREFUSED || refused == ENOENT { throw refusal }
            let number = result == -EREMOTEIO ? refused : -result
            throw BerthError(
                number == ETIMEDOUT ? .timeout : .unreachable,
                "the sandbox's agent gives no connection: \(String(cString: strerror(number)))")
        }
        if Task.isCancelled {
            close(result)
            throw CancellationError()
        }
        return result
    }

    private static func request(_ line: String, root: Descriptor, socket: String) -> (result: Int32, refused: Int32) {
        let deadline = ContinuousClock.now + relayTimeout
        var number = berth_unix_connect(root.number, socket)
        while number == -EAGAIN, ContinuousClock.now < deadline {
            _ = poll(nil, 0, queuePause)
            number = berth_unix_connect(root.number, socket)
        }
        guard number >= 0 else { return (number == -EAGAIN ? -ETIMEDOUT : number, 0) }
        var refused: Int32 = 0
        let left = (deadline - .now).wholeMilliseconds
        var result = berth_request_stream(number, line, line.utf8.count, left, &refused)
        if result == 0 { result = berth_fd_blocking(number) }
        if result == 0 { return (number, 0) }
        close(number)
        return (result, refused)
    }
}
