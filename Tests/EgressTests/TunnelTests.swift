import DeploymentCore
import Foundation
import Glibc
import Sandboxes
import Testing

@testable import Egress

/// Tunnels through the real proxy, on real sockets.
@Suite(.timeLimit(.minutes(2))) struct TunnelTests {
    @Test func bytesGoBothWaysAndEndsArePassedOn() async throws {
        let host = try Host()
        try await withProxy(try rules("127.0.0.1:\(host.port)")) { test in
            try await onThread {
                let client = try test.tunnel(host.port)
                let server = try host.accept()
                try client.send("question")
                #expect(try server.take(8) == "question")
                client.endOutput()
                #expect(try server.receive().isEmpty)
                // The other direction goes on after one has ended.
                try server.send("answer")
                server.endOutput()
                #expect(try client.takeAll() == "answer")
            }
            #expect(test.proxy.traffic(of: TestProxy.sandbox) == EgressTraffic(receivedBytes: 6, sentBytes: 8))
        }
    }

    @Test func hostMayEndFirst() async throws {
        let host = try Host()
        try await withProxy(try rules("127.0.0.1")) { test in
            try await onThread {
                let client = try test.tunnel(host.port)
                let server = try host.accept()
                try server.send("hello")
                server.endOutput()
                #expect(try client.takeAll() == "hello")
                try client.send("bye")
                client.endOutput()
                #expect(try server.takeAll() == "bye")
            }
        }
    }

    /// A client may send its first bytes with the request, and even end with them.
    @Test func whatComesWithTheRequestBelongsToTheTunnel() async throws {
        let host = try Host()
        try await withProxy(try rules("127.0.0.1")) { test in
            try await onThread {
                let client = try test.connect()
                try client.send(
                    "CONNECT 127.0.0.1:\(host.port) HTTP/1.1\r\n\r\nCONNECT 127.0.0.2:1 HTTP/1.1\r\n\r\n")
                client.endOutput()
                let server = try host.accept()
                #expect(try server.takeAll() == "CONNECT 127.0.0.2:1 HTTP/1.1\r\n\r\n")
                try server.send("early")
                server.close()
                #expect(try client.takeHead().hasPrefix("HTTP/1.1 200 "))
                #expect(try client.takeAll() == "early")
            }
        }
    }

    @Test func requestBehindARefusedOneIsNotRead() async throws {
        let host = try Host()
        try await withProxy(try rules("127.0.0.1")) { test in
            try await onThread {
                let client = try test.connect()
                try client.send(
                    "CONNECT 127.0.0.2:80 HTTP/1.1\r\n\r\nCONNECT 127.0.0.1:\(host.port) HTTP/1.1\r\n\r\nx")
                client.endOutput()
                let answer = try client.answer()
                #expect(answer.status == 403)
                #expect(host.isLonely)
            }
        }
    }

    // MARK: back pressure

    @Test func hostThatDoesNotReadHoldsTheAppUp() async throws {
        let host = try Host()
        try await withProxy(try rules("127.0.0.1")) { test in
            try await onThread {
                let client = try test.tunnel(host.port)
                let server = try host.accept()
                let sent = client.sendUntilFull(limit: 64 << 20)
                #expect(sent < 32 << 20)
                client.endOutput()
                #expect(try server.takeBytes().count == sent)
            }
        }
    }

    @Test func appThatDoesNotReadHoldsTheHostUp() async throws {
        let host = try Host()
        try await withProxy(try rules("127.0.0.1")) { test in
            try await onThread {
                let client = try test.tunnel(host.port)
                let server = try host.accept()
                let sent = server.sendUntilFull(limit: 64 << 20)
                #expect(sent < 32 << 20)
                // The other direction is not held up with it.
                try client.send("still here")
                #expect(try server.take(10) == "still here")
                server.endOutput()
                #expect(try client.takeBytes().count == sent)
            }
        }
    }

    // MARK: ends

    @Test func appThatGoesAwayTakesItsConnectionWithIt() async throws {
        let host = try Host()
        try await withProxy(try rules("127.0.0.1")) { test in
            try await onThread {
                let client = try test.tunnel(host.port)
                let server = try host.accept()
                client.close()
                #expect(try server.receive().isEmpty)
                server.close()
            }
        }
    }

    @Test func hostThatBreaksOffEndsTheTunnel() async throws {
        let host = try Host()
        try await withProxy(try rules("127.0.0.1")) { test in
            try await onThread {
                let client = try test.tunnel(host.port)
                let server = try host.accept()
                server.reset()
                #expect(try client.receive().isEmpty)
            }
        }
    }

    @Test func silentTunnelIsClosed() async throws {
        let host = try Host()
        var limits = EgressLimits.patient
        limits.idle = .milliseconds(200)
        try await withProxy(try rules("127.0.0.1"), limits: limits) { test in
            try await onThread {
                let client = try test.tunnel(host.port)
                let server = try host.accept()
                #expect(try client.receive().isEmpty)
                #expect(try server.receive().isEmpty)
            }
        }
    }

    @Test func closingEndsEverything() async throws {
        let host = try Host()
        try await withProxy(
            try rules("127.0.0.1", "h.example"),
            resolve: { _ in
                try await Task.sleep(for: .seconds(3600))
                return []
            }
        ) { test in
            let (tunnel, server, waiting) = try await onThread {
                let tunnel = try test.tunnel(host.port)
                let waiting = try test.connect()
                try waiting.send("CONNECT h.example:1 HTTP/1.1\r\n\r\n")
                return (tunnel, try host.accept(), waiting)
            }
            await test.proxy.close(TestProxy.sandbox)
            try await onThread {
                for line in [tunnel, server, waiting] {
                    let rest = try line.receive()
                    #expect(rest.isEmpty)
                }
                #expect(throws: LineError.self) { try test.connect() }
            }
            #expect(test.proxy.traffic(of: TestProxy.sandbox) == nil)
            await test.proxy.close(TestProxy.sandbox)
        }
    }

    // MARK: a plain request

    @Test func plainRequestIsOneRequest() async throws {
        let host = try Host()
        try await withProxy(try rules("127.0.0.1")) { test in
            try await onThread {
                let client = try test.connect()
                try client.send(
                    "POST http://127.0.0.1:\(host.port)/a HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"
                        + "GET http://127.0.0.1:\(host.port)/secret HTTP/1.1\r\n\r\n")
                let server = try host.accept()
                #expect(
                    try server.takeHead()
                        == "POST /a HTTP/1.1\r\nHost: 127.0.0.1:\(host.port)\r\nContent-Length: 4\r\n"
                        + "Connection: close\r\n\r\n")
                #expect(try server.take(4) == "body")
                try server.send("HTTP/1.1 200 OK\r\n\r\ndone")
                server.endOutput()
                // The answer ends the connection, and nothing else ever came to the host.
                #expect(try client.takeAll() == "HTTP/1.1 200 OK\r\n\r\ndone")
                #expect(try server.receive().isEmpty)
            }
        }
    }

    @Test func requestWhoseClientHasEndedIsAnswered() async throws {
        let host = try Host()
        try await withProxy(try rules("127.0.0.1")) { test in
            try await onThread {
                let client = try test.connect()
                try client.send("GET http://127.0.0.1:\(host.port)/ HTTP/1.1\r\n\r\n")
                client.endOutput()
                let server = try host.accept()
                _ = try server.takeHead()
                try server.send("HTTP/1.1 204 Nothing\r\n\r\n")
                server.close()
                #expect(try client.takeAll() == "HTTP/1.1 204 Nothing\r\n\r\n")
            }
        }
    }

    @Test func brokenChunksEndBothSides() async throws {
        let host = try Host()
        try await withProxy(try rules("127.0.0.1")) { test in
            try await onThread {
                let client = try test.connect()
                try client.send("POST http://127.0.0.1:\(host.port)/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
                let server = try host.accept()
                _ = try server.takeHead()
                try client.send("2\r\nab\r\nnonsense\r\n")
                #expect(try !server.takeAll().contains("nonsense"))
                #expect(try client.receive().isEmpty)
            }
        }
    }
}
