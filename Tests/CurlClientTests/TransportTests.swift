import BerthTestSupport
import DeploymentCore
import Foundation
import Testing

@testable import CurlClient

@Suite(.timeLimit(.minutes(1)))
struct TransportTests {
    let client = CurlClient()

    /// Whether any descriptor of the process shows the socket with this inode.
    private func isOpen(_ inode: UInt) throws -> Bool {
        for name in try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd") {
            if (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\(name)"))
                == "socket:[\(inode)]"
            {
                return true
            }
        }
        return false
    }

    private func inode(_ descriptor: Int32) -> UInt {
        var status = stat()
        fstat(descriptor, &status)
        return UInt(status.st_ino)
    }

    @Test func aConnectedSocketIsUsedOnceAndClosed() async throws {
        let server = try ScriptedHTTPServer { ScriptedAnswer(200, $0.headers["host"] ?? "") }
        defer { server.close() }
        for _ in 0..<3 {
            let socket = try server.connect()
            let inode = inode(socket)
            let reply = try await client.send(HTTPRequest(url: "http://app.example/x", transport: .connected(socket)))
            #expect(String(decoding: reply.body, as: UTF8.self) == "app.example")
            #expect(try !isOpen(inode))
        }
        #expect(server.accepted == 3)
    }

    @Test func aConnectedSocketIsClosedThoughTheRequestNeverStarts() async throws {
        let server = try ScriptedHTTPServer { _ in ScriptedAnswer() }
        defer { server.close() }
        let closed = CurlClient()
        closed.close()
        for (client, request) in [
            (client, HTTPRequest(url: "http://x/", headers: [("bad name", "")])),
            (client, HTTPRequest(url: "file:///x")),
            (client, HTTPRequest(url: "")),
            (client, HTTPRequest(url: "http://x/", body: .file(path: "/no", length: 1))),
            (closed, HTTPRequest(url: "http://x/")),
        ] {
            let socket = try server.connect()
            let inode = inode(socket)
            var request = request
            request.transport = .connected(socket)
            _ = try await failure(client, request)
            #expect(try !isOpen(inode))
        }
    }

    @Test func aConnectedSocketIsClosedOnCancellation() async throws {
        let arrived = AsyncStream<Void>.makeStream()
        let server = try ScriptedHTTPServer(script: { connection in
            _ = connection.readRequest()
            arrived.continuation.yield()
            connection.awaitClose()
        })
        defer { server.close() }
        let socket = try server.connect()
        let inode = inode(socket)
        let task = Task { try await client.send(HTTPRequest(url: "http://x/", transport: .connected(socket))) }
        var arrivals = arrived.stream.makeAsyncIterator()
        await arrivals.next()
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(try !isOpen(inode))
    }

    @Test func unixSocketsAreReachedAndKeptApart() async throws {
        try await withTemporaryFolder { folder in
            let first = try ScriptedHTTPServer(unixPath: folder + "/a.sock") { _ in ScriptedAnswer(200, "a") }
            let second = try ScriptedHTTPServer(unixPath: folder + "/b.sock") { _ in ScriptedAnswer(200, "b") }
            defer {
                first.close()
                second.close()
            }
            func get(_ path: String) async throws -> String {
                let reply = try await client.send(HTTPRequest(url: "http://agent/", transport: .unixSocket(path)))
                return String(decoding: reply.body, as: UTF8.self)
            }
            for _ in 0..<3 {
                #expect(try await get(folder + "/a.sock") == "a")
                #expect(try await get(folder + "/b.sock") == "b")
            }
            #expect(first.accepted == 1 && second.accepted == 1)
            let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
            defer { close(descriptor) }
            for _ in 0..<2 { #expect(try await get("/proc/self/fd/\(descriptor)/a.sock") == "a") }
            #expect(first.accepted == 3)
            let missing = try await failure(
                client, HTTPRequest(url: "http://agent/", transport: .unixSocket(folder + "/c.sock")))
            #expect((missing.cause as? CurlError)?.isRefused == true)
            let long = folder + "/" + String(repeating: "x", count: 120)
            #expect(
                try await failure(client, HTTPRequest(url: "http://agent/", transport: .unixSocket(long))).code
                    == .unreachable)
        }
    }

    @Test func aKeptConnectionDoesNotEscapeThePolicy() async throws {
        let server = try ScriptedHTTPServer { _ in ScriptedAnswer() }
        defer { server.close() }
        var request = local(server)
        _ = try await client.send(request)
        _ = try await client.send(request)
        #expect(server.accepted == 1)
        request.transport = .network(.publicOnly)
        let error = try await failure(client, request)
        #expect(error.message.contains("127.0.0.1"))
        #expect(error.message.contains("must not reach"))
        #expect(server.accepted == 1)
    }

    @Test func descriptorsAreStableOverManyRequests() async throws {
        await #expect(processExitsWith: .success) {
            func count() throws -> Int { try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count }
            func round(_ requests: Int) async throws {
                let server = try ScriptedHTTPServer { ScriptedAnswer(200, $0.path) }
                let client = CurlClient()
                for index in 0..<requests {
                    let transport = index % 2 == 0 ? Transport.network(.loopback) : .connected(try server.connect())
                    var request = HTTPRequest(url: "\(server.url)/\(index)", transport: transport)
                    if index % 10 == 3 { request.headers = [("Connection", "close")] }
                    let reply = try await client.send(request)
                    guard reply.body == Array("/\(index)".utf8) else { exit(3) }
                }
                client.close()
                server.close()
            }
            try await round(10)
            let before = try count()
            try await round(500)
            guard try count() <= before else { exit(4) }
        }
    }

    @Test func manyRequestsRunAtOnce() async throws {
        let server = try ScriptedHTTPServer { ScriptedAnswer(200, $0.path) }
        defer { server.close() }
        try await withThrowingTaskGroup { group in
            for index in 0..<200 {
                group.addTask {
                    let reply = try await client.send(local(server, "/\(index)"))
                    #expect(String(decoding: reply.body, as: UTF8.self) == "/\(index)")
                }
            }
            try await group.waitForAll()
        }
    }
}
