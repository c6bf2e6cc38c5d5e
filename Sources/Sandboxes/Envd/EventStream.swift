import CurlClient
import DeploymentCore
import E2BProtocol

/// One subscription: a task that reads the stream into a bounded channel. `close` or the last reference ends it.
final class EventStream: Sendable {
    private let channel: EventChannel
    private let task: Task<Void, Never>

    init(client: CurlClient, request: HTTPRequest) {
        let channel = EventChannel()
        self.channel = channel
        task = Task {
            do {
                try await client.withResponse(request) { try await Self.pump($0, into: channel) }
                channel.finish(nil)
            } catch {
                channel.finish(error)
            }
        }
    }

    deinit { task.cancel() }

    func close() { task.cancel() }

    /// The next event, the process's start and keepalives included; nil after the end of the stream.
    func next() async throws -> ProcessEvent? { try await channel.next() }

    private static func pump(_ response: HTTPResponse, into channel: EventChannel) async throws {
        guard response.status == 200 else {
            let body = try await response.body.collect(limit: EnvdClient.replyLimit)
            throw EnvdClient.error(ConnectError(httpStatus: response.status, body: body))
        }
        var decoder = ConnectFrameDecoder()
        do {
            for try await chunk in response.body {
                decoder.append(chunk)
                while let frame = try decoder.next() {
                    switch frame {
                    case .message(let json): try await channel.send(try ProcessEvent(json: json))
                    case .end(let error?): throw error
                    case .end(nil): return
                    }
                }
            }
        } catch let error as ConnectError {
            throw EnvdClient.error(error)
        }
        throw BerthError(.unreachable, "the sandbox's agent broke off a stream")
    }
}

/// A bounded queue with one producer and one consumer; the producer waits while it is full.
final class EventChannel: Sendable {
    /// The most events held, of at most 32 KiB of output each.
    static let capacity = 32

    private struct State {
        var events: [ProcessEvent] = []
        var end: Result<Void, any Error>?
        var consumer: CheckedContinuation<ProcessEvent?, any Error>?
        var producer: CheckedContinuation<Void, any Error>?
    }

    private let state = Locked(State())

    /// Queues an event, waiting for room.
    func send(_ event: ProcessEvent) async throws {
        let consumer = state.withLock { state -> CheckedContinuation<ProcessEvent?, any Error>? in
            guard let consumer = state.consumer else {
                state.events.append(event)
                return nil
            }
            state.consumer = nil
            return consumer
        }
        if let consumer { return consumer.resume(returning: event) }
        try await waitForRoom()
    }

    private func waitForRoom() async throws {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                let isFull = state.withLock { state in
                    guard state.events.count >= Self.capacity, !Task.isCancelled else { return false }
                    state.producer = continuation
                    return true
                }
                if !isFull { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.producer.take() }?.resume(throwing: CancellationError())
        }
        try Task.checkCancellation()
    }

    /// Ends the queue; what it holds is still delivered.
    func finish(_ error: (any Error)?) {
        let consumer = state.withLock { state in
            if state.end == nil { state.end = error.map { .failure($0) } ?? .success(()) }
            return state.consumer.take()
        }
        guard let consumer else { return }
        if let error { consumer.resume(throwing: error) } else { consumer.resume(returning: nil) }
    }

    private enum Step {
        case event(ProcessEvent, CheckedContinuation<Void, any Error>?)
        case end(Result<Void, any Error>)
        case cancelled
        case wait
    }

    /// The next event, waiting for it; nil after the last.
    func next() async throws -> ProcessEvent? {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                switch step(continuation) {
                case .event(let event, let producer):
                    producer?.resume()
                    continuation.resume(returning: event)
                case .end(let end): continuation.resume(with: end.map { nil })
                case .cancelled: continuation.resume(throwing: CancellationError())
                case .wait: break
                }
            }
        } onCancel: {
            state.withLock { $0.consumer.take() }?.resume(throwing: CancellationError())
        }
    }

    private func step(_ continuation: CheckedContinuation<ProcessEvent?, any Error>) -> Step {
        state.withLock { state in
            if !state.events.isEmpty {
                let event = state.events.removeFirst()
                return .event(event, state.events.count < Self.capacity ? state.producer.take() : nil)
            }
            if let end = state.end { return .end(end) }
            if Task.isCancelled { return .cancelled }
            state.consumer = continuation
            return .wait
        }
    }
}
