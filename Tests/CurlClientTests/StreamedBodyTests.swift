import BerthTestSupport
import DeploymentCore
import Foundation
import Testing

@testable import CurlClient

@Suite(.timeLimit(.minutes(1)))
struct StreamedBodyTests {
    let client = CurlClient()

    private func request(_ server: ScriptedHTTPServer, _ body: HTTPRequest.Body) -> HTTPRequest {
        HTTPRequest(method: "POST", url: "\(server.url)/x", body: body, timeout: nil, transport: .network(.loopback))
    }

    @Test func bodyArrivesAsItWasWritten() async throws {
        let server = try ScriptedHTTPServer { connection in
            guard let request = connection.readRequest(), let body = connection.readChunks() else { return }
            connection.send(ScriptedAnswer(200, headers: [], bytes: body), to: request)
        }
        defer { server.close() }
        let parts = (0..<200).map { count in (0..<count * 37).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ count) } }
        let reply = try await client.send(
            request(
                server,
                .stream { writer in
                    for part in parts { try await writer.write(part) }
                }), limit: 4 << 20)
        #expect(reply.body == Array(parts.joined()))
        let empty = try await client.send(request(server, .stream { _ in }))
        #expect(empty.status == 200)
        #expect(empty.body == [])
    }

    @Test func writerWaitsForASlowReader() async throws {
        let gate = DispatchSemaphore(value: 0)
        let server = try ScriptedHTTPServer { connection in
            guard let request = connection.readRequest() else { return }
            gate.wait()
            guard let body = connection.readChunks() else { return }
            connection.send(ScriptedAnswer(200, "\(body.count)"), to: request)
        }
        defer { server.close() }
        let written = Locked(0)
        let total = 16 << 20
        let part = [UInt8](repeating: 1, count: 64 << 10)
        let call = Task { [client] in
            try await client.send(
                request(
                    server,
                    .stream { writer in
                        for _ in 0..<total / part.count {
                            try await writer.write(part)
                            written.withLock { $0 += part.count }
                        }
                    }))
        }
        // The kernel's buffers take some; what the rest waits for is the reader.
        while written.withLock({ $0 }) == 0 { await Task.yield() }
        #expect(written.withLock { $0 } < total)
        gate.signal()
        #expect(String(decoding: try await call.value.body, as: UTF8.self) == "\(total)")
    }

    @Test func halfABodyIsNeverTakenForAWholeOne() async throws {
        let (begun, begin) = AsyncStream<Void>.makeStream()
        let (whole, judge) = AsyncStream<Bool>.makeStream()
        let server = try ScriptedHTTPServer { connection in
            guard connection.readRequest() != nil else { return judge.finish() }
            begin.yield()
            judge.yield(connection.readChunks() != nil)
        }
        defer { server.close() }
        let failure = await #expect(throws: BerthError.self) {
            try await client.send(
                request(
                    server,
                    .stream { writer in
                        try await writer.write(Array("half".utf8))
                        for await _ in begun { break }
                        throw BerthError(.usage, "no more")
                    }))
        }
        #expect(failure?.code == .usage)
        #expect(await whole.first { _ in true } == false)
    }

    @Test func answerBeforeTheEndOfTheBodyEndsTheWriting() async throws {
        let isOver = DispatchSemaphore(value: 0)
        let server = try ScriptedHTTPServer { connection in
            guard let request = connection.readRequest() else { return }
            connection.send(ScriptedAnswer(507, "full"), to: request)
            // Closing with bytes unread would be a reset, which can overtake the answer.
            isOver.wait()
        }
        defer { server.close() }
        defer { isOver.signal() }
        let ended = Locked(false)
        let reply = try await client.send(
            request(
                server,
                .stream { writer in
                    defer { ended.withLock { $0 = true } }
                    while true { try await writer.write([UInt8](repeating: 1, count: 1 << 10)) }
                }))
        #expect(reply.status == 507)
        #expect(ended.withLock { $0 })
    }

    @Test func cancellationEndsBothSides() async throws {
        let begun = AsyncStream<Void>.makeStream()
        let server = try ScriptedHTTPServer { connection in
            guard connection.readRequest() != nil else { return }
            begun.continuation.yield()
            connection.awaitClose()
        }
        defer { server.close() }
        let call = Task { [client] in
            try await client.send(
                request(
                    server,
                    .stream { writer in
                        try await writer.write([1])
                        try await Task.sleep(for: .seconds(3_600))
                    }))
        }
        for await _ in begun.stream { break }
        call.cancel()
        await #expect(throws: CancellationError.self) { try await call.value }
    }

    @Test func openAnswerLivesAsLongAsItsObject() async throws {
        let closed = AsyncStream<Void>.makeStream()
        let server = try ScriptedHTTPServer { connection in
            guard connection.readRequest() != nil else { return }
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nfirst")
            connection.awaitClose()
            closed.continuation.yield()
        }
        defer { server.close() }
        do {
            let open = try await client.open(request(server, .bytes([])))
            #expect(open.response.status == 200)
            var body = open.response.body.makeAsyncIterator()
            #expect(try await body.next() == Array("first".utf8))
        }
        for await _ in closed.stream { break }
    }
}
