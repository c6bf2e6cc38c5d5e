import CPlatform
import DeploymentCore
import Dispatch
import Glibc

/// A few control connections to one agent, over which it hands out sockets connected inside its sandbox.
final class ControlLanes: Sendable {
    /// Connections to one agent.
    static let count = 4
    private let lanes: [ControlLane]

    init(root: Descriptor, socket: String) {
        lanes = (0..<Self.count).map { _ in ControlLane(root: root, socket: socket) }
    }

    /// Asks for a connection; `refusal` is thrown when nobody listens at `target`.
    func connect(_ target: String, refusal: any Error) async throws -> Int32 {
        try Task.checkCancellation()
        guard let lane = lanes.min(by: { $0.waiting < $1.waiting }) else {
            throw BerthError(.internalError, "there is no control connection")
        }
        let answer = try await lane.request("CONNECT \(target)\n")
        guard case .connected(let socket) = answer else { throw refusal }
        if Task.isCancelled {
            close(socket)
            throw CancellationError()
        }
        return socket
    }
}

/// One control connection, used by one request at a time on a queue of its own.
private final class ControlLane: Sendable {
    /// How long an agent may take for one connection.
    static let timeout = Duration.seconds(2)
    /// The most requests that wait in one lane.
    static let maximumWaiting = 256

    enum Answer {
        case connected(Int32)
        case refused
    }

    private let root: Descriptor
    private let socket: String
    private let queue = DispatchQueue(label: "berth.control-lane")
    private let connection = Locked<Descriptor?>(nil)
    private let count = Locked(0)

    init(root: Descriptor, socket: String) {
        self.root = root
        self.socket = socket
    }

    var waiting: Int { count.withLock { $0 } }

    func request(_ line: String) async throws -> Answer {
        let isFree = count.withLock { count in
            guard count < Self.maximumWaiting else { return false }
            count += 1
            return true
        }
        guard isFree else { throw BerthError(.unreachable, "too many connections into a sandbox are being made") }
        defer { count.withLock { $0 -= 1 } }
        return try await withCheckedThrowingContinuation { continuation in
            queue.async { continuation.resume(with: Result { try self.exchange(line) }) }
        }
    }

    private func exchange(_ line: String) throws -> Answer {
        if let kept = connection.withLock({ $0.take() }) {
            // The agent may have closed it since; then a new one decides.
            if let answer = try? ask(kept, line) { return answer }
        }
        let number = try check(berth_unix_connect(root.number, socket), or: "the sandbox's agent cannot be reached")
        return try ask(Descriptor(number), line)
    }

    /// Asks over one connection, and keeps it when it is still in step.
    private func ask(_ descriptor: Descriptor, _ line: String) throws -> Answer {
        var refused: Int32 = 0
        let result = berth_request_descriptor(
            descriptor.number, line, line.utf8.count, Self.timeout.wholeMilliseconds, &refused)
        if result >= 0 || result == -EREMOTEIO { connection.withLock { $0 = descriptor } }
        if result >= 0 { return .connected(result) }
        if result == -EREMOTEIO, refused == ECONNREFUSED || refused == ENOENT { return .refused }
        let number = result == -EREMOTEIO ? refused : -result
        throw BerthError(
            number == ETIMEDOUT ? .timeout : .unreachable,
            "the sandbox's agent gives no connection: \(String(cString: strerror(number)))")
    }

    private func check(_ result: Int32, or message: String) throws -> Int32 {
        guard result >= 0 else { throw BerthError(.unreachable, "\(message): \(String(cString: strerror(-result)))") }
        return result
    }
}
