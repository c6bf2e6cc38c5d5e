import BerthTestSupport
import DeploymentCore
import Foundation
import Testing

@testable import CurlClient

/// A request to a scripted server.
func local(
    _ server: ScriptedHTTPServer, _ path: String = "/", method: String = "GET", body: HTTPRequest.Body = .none,
    headers: [(name: String, value: String)] = []
) -> HTTPRequest {
    HTTPRequest(
        method: method, url: server.url + path, headers: headers, body: body, transport: .network(.loopback))
}

/// The error a request ends with.
func failure(_ client: CurlClient, _ request: HTTPRequest, limit: Int = 1 << 20) async throws -> BerthError {
    try await #require(throws: BerthError.self) { _ = try await client.send(request, limit: limit) }
}

@Suite(.timeLimit(.minutes(1)))
struct CurlClientTests {
    let client = CurlClient()

    @Test func statusHeadersAndBodyArrive() async throws {
        let server = try ScriptedHTTPServer { request in
            ScriptedAnswer(418, headers: [("X-One", " a: b "), ("X-Two", "")], "\(request.method) \(request.path)")
        }
        defer { server.close() }
        let reply = try await client.send(local(server, "/a/b?c=d"))
        #expect(reply.status == 418)
        #expect(reply.headers["x-ONE"] == "a: b")
        #expect(reply.headers["X-Two"] == "")
        #expect(reply.headers["X-Three"] == nil)
        #expect(String(decoding: reply.body, as: UTF8.self) == "GET /a/b?c=d")
    }

    @Test func aBodyIsSentWithItsLengthAndWithoutExpect() async throws {
        let seen = Locked<[ScriptedRequest]>([])
        let server = try ScriptedHTTPServer { request in
            seen.withLock { $0.append(request) }
            return ScriptedAnswer()
        }
        defer { server.close() }
        let body = [UInt8](repeating: 65, count: 2 << 20)
        for method in ["POST", "PUT", "PATCH"] {
            _ = try await client.send(
                local(
                    server, method: method, body: .bytes(body),
                    headers: [("Content-Type", "text/plain"), ("Content-Length", "3"), ("X-Empty", "")]))
            _ = try await client.send(local(server, method: method))
        }
        _ = try await client.send(local(server, method: "DELETE"))
        let requests = seen.withLock { $0 }
        #expect(requests.map(\.method) == ["POST", "POST", "PUT", "PUT", "PATCH", "PATCH", "DELETE"])
        #expect(requests[0].body == body)
        #expect(requests[0].headers["content-length"] == "\(body.count)")
        #expect(requests[0].headers["content-type"] == "text/plain")
        #expect(requests[0].headers["x-empty"] == "")
        #expect(requests[1].headers["content-length"] == "0")
        #expect(requests[1].headers["content-type"] == nil)
        #expect(requests.allSatisfy { $0.headers["expect"] == nil })
    }

    @Test func aFileIsStreamedUp() async throws {
        let server = try ScriptedHTTPServer { ScriptedAnswer(200, headers: [], bytes: $0.body) }
        defer { server.close() }
        try await withTemporaryFolder { folder in
            let bytes = (0..<700_000).map { UInt8(truncatingIfNeeded: $0 / 7) }
            let path = folder + "/file"
            try Data(bytes).write(to: URL(filePath: path))
            let reply = try await client.send(
                local(server, method: "PUT", body: .file(path: path, length: Int64(bytes.count))))
            #expect(reply.body == bytes)
            let error = try await failure(
                client, local(server, method: "PUT", body: .file(path: path, length: Int64(bytes.count) + 1)))
            #expect(error.message.contains("ended after 700000 bytes"))
            let missing = try await failure(client, local(server, method: "PUT", body: .file(path: "/no", length: 1)))
            #expect(missing.code == .notFound)
        }
    }

    @Test func aHeadRequestHasNoBody() async throws {
        let server = try ScriptedHTTPServer { _ in ScriptedAnswer(200, headers: [], bytes: [1, 2, 3]) }
        defer { server.close() }
        let reply = try await client.send(local(server, method: "HEAD"), limit: 0)
        #expect(reply.headers["Content-Length"] == "3")
        #expect(reply.body.isEmpty)
    }

    @Test func theHeadArrivesBeforeTheBody() async throws {
        let gate = DispatchSemaphore(value: 0)
        let server = try ScriptedHTTPServer(script: { connection in
            _ = connection.readRequest()
            connection.send("HTTP/1.1 103 Early Hints\r\nX: 1\r\n\r\nHTTP/1.1 200 OK\r\nX: 2\r\n\r\n")
            gate.wait()
            connection.send("event")
        })
        defer { server.close() }
        let text = try await client.withResponse(local(server)) { response in
            #expect(response.status == 200)
            #expect(response.headers.all.map(\.value) == ["2"])
            gate.signal()
            return String(decoding: try await response.body.collect(limit: 100), as: UTF8.self)
        }
        #expect(text == "event")
    }

    @Test func aSlowReaderHoldsAtMostABufferAndOneRead() async throws {
        let total = 64 << 20
        let server = try ScriptedHTTPServer(script: { connection in
            _ = connection.readRequest()
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: \(total)\r\n\r\n")
            let block = (0..<1 << 20).map { UInt8(truncatingIfNeeded: $0 >> 4) }
            for _ in 0..<(total >> 20) where !connection.send(block) { return }
        })
        defer { server.close() }
        let (count, highWater) = try await client.withResponse(local(server)) { response in
            var count = 0
            for try await chunk in response.body {
                #expect(chunk.first == UInt8(truncatingIfNeeded: (count & 0xFFFFF) >> 4))
                count += chunk.count
                for _ in 0..<3 { await Task.yield() }
            }
            return (count, response.body.transfer.highWater)
        }
        #expect(count == total)
        #expect(highWater <= Transfer.maximumBuffered + 16 << 10)
    }

    @Test func anUnreadBodyIsDroppedWhenTheClosureEnds() async throws {
        let gone = DispatchSemaphore(value: 0)
        let server = try ScriptedHTTPServer(script: { connection in
            _ = connection.readRequest()
            connection.send("HTTP/1.1 200 OK\r\n\r\n")
            while connection.send([UInt8](repeating: 0, count: 1 << 16)) {}
            gone.signal()
        })
        defer { server.close() }
        #expect(try await client.withResponse(local(server)) { $0.status } == 200)
        #expect(waits(gone))
    }

    @Test func cancellationAbortsTheTransferWhereverItWaits() async throws {
        let arrived = AsyncStream<Void>.makeStream()
        let gone = DispatchSemaphore(value: 0)
        let server = try ScriptedHTTPServer(script: { connection in
            if connection.readRequest()?.path == "/body" { connection.send("HTTP/1.1 200 OK\r\n\r\n") }
            arrived.continuation.yield()
            connection.awaitClose()
            gone.signal()
        })
        defer { server.close() }
        var arrivals = arrived.stream.makeAsyncIterator()
        for path in ["/head", "/body"] {
            // Without a timeout only the cancellation can end it.
            var request = local(server, path)
            request.timeout = nil
            let task = Task { [request] in try await client.send(request) }
            await arrivals.next()
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
            #expect(waits(gone))
        }
    }

    @Test func aCancelledTaskSendsNothing() async throws {
        let server = try ScriptedHTTPServer { _ in ScriptedAnswer() }
        defer { server.close() }
        let gate = AsyncStream<Void>.makeStream()
        let task = Task {
            for await _ in gate.stream {}
            return try await client.send(local(server))
        }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
    }

    @Test func closingTheClientEndsItsTransfers() async throws {
        let arrived = AsyncStream<Void>.makeStream()
        let server = try ScriptedHTTPServer(script: { connection in
            _ = connection.readRequest()
            arrived.continuation.yield()
            connection.awaitClose()
        })
        defer { server.close() }
        let client = CurlClient()
        async let error = failure(client, local(server))
        var arrivals = arrived.stream.makeAsyncIterator()
        await arrivals.next()
        client.close()
        #expect(try await error.code == .unreachable)
        #expect(try await failure(client, local(server)).message.contains("closed"))
        client.close()
    }

    @Test func anErrorOfTheClosureComesOut() async throws {
        let server = try ScriptedHTTPServer { _ in ScriptedAnswer() }
        defer { server.close() }
        struct Own: Error {}
        await #expect(throws: Own.self) { try await client.withResponse(local(server)) { _ in throw Own() } }
    }
}

/// Blocks until the semaphore is signalled; false after 10 s.
func waits(_ semaphore: DispatchSemaphore) -> Bool { semaphore.wait(timeout: .now() + 10) == .success }
