import BerthTestSupport
import Foundation
import Testing

@testable import SandboxGateway

@Suite struct StreamingTests {
    /// Far more than what the kernel and the gateway may hold on the way.
    static let size = 64 * 1024 * 1024
    /// What they may hold: the sockets' buffers, and one read for each side.
    static let held = 16 * 1024 * 1024
    static let buffer = 512 * 1024

    @Test func whoDoesNotReadHoldsThePortUp() async throws {
        try await withWorld { world in
            let (near, far) = try Wire.pair()
            world.doors.change("one") { $0.sockets[8000] = far }
            try await onThread {
                let client = try world.connect(receiveBuffer: 16 * 1024)
                defer { client.close() }
                try client.send(request())
                _ = try near.read(through: "\r\n\r\n")
                try near.send("HTTP/1.1 200 OK\r\nContent-Length: \(Self.size)\r\n\r\n")
                let block = [UInt8](repeating: 7, count: 64 * 1024)
                let sent = try near.sendUntilStuck(block, limit: Self.size)
                #expect(sent < Self.held)
                #expect(world.gateway.shared.largestBuffer < Self.buffer)
                _ = try client.read(through: "\r\n\r\n")
                let rest = Thread { try? near.send([UInt8](repeating: 7, count: Self.size - sent)) }
                rest.start()
                try client.skip(Self.size)
            }
            #expect(world.gateway.shared.largestBuffer < Self.buffer)
        }
    }

    @Test func aPortThatDoesNotReadHoldsTheClientUp() async throws {
        try await withWorld { world in
            let (near, far) = try Wire.pair()
            world.doors.change("one") { $0.sockets[8000] = far }
            try await onThread {
                let client = try world.connect()
                defer { client.close() }
                try client.send(request("POST", fields: "Content-Length: \(Self.size)\r\n"))
                let sent = try client.sendUntilStuck([UInt8](repeating: 7, count: 64 * 1024), limit: Self.size)
                #expect(sent < Self.held)
                #expect(world.gateway.shared.largestBuffer < Self.buffer)
                _ = try near.read(through: "\r\n\r\n")
                let rest = Thread { try? client.send([UInt8](repeating: 7, count: Self.size - sent)) }
                rest.start()
                try near.skip(Self.size)
                try near.send("HTTP/1.1 204 No Content\r\n\r\n")
                #expect(try client.readMessage()?.status == 204)
            }
        }
    }

    @Test func partsComeAsTheyAreSent() async throws {
        try await withWorld { world in
            let (near, far) = try Wire.pair()
            world.doors.change("one") { $0.sockets[8000] = far }
            try await onThread {
                let client = try world.connect()
                defer { client.close() }
                try client.send(request("POST", fields: "Transfer-Encoding: chunked\r\n"))
                _ = try near.read(through: "\r\n\r\n")
                try near.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                _ = try client.read(through: "\r\n\r\n")
                // One is heard before the next is said, both ways.
                for index in 0..<100 {
                    try client.send("3\r\n\(100 + index)\r\n")
                    #expect(try near.read(through: "\(100 + index)\r\n") != nil)
                    try near.send("3\r\n\(200 + index)\r\n")
                    #expect(try client.read(through: "\(200 + index)\r\n") != nil)
                }
                try near.send("0\r\n\r\n")
                #expect(try client.read(through: "0\r\n\r\n") != nil)
            }
        }
    }

    @Test func aClientThatLeavesIsSeenByThePort() async throws {
        try await withWorld { world in
            let (near, far) = try Wire.pair()
            world.doors.change("one") { $0.sockets[8000] = far }
            try await onThread {
                let client = try world.connect()
                try client.send(request())
                _ = try near.read(through: "\r\n\r\n")
                client.close()
                #expect(near.isAtEnd())
            }
        }
    }

    private static let upgrade = "Connection: Upgrade\r\nUpgrade: echo\r\n"
    private static let switching = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n"

    /// A client's side of a tunnel whose port is `near`.
    private func tunnel(in world: World, to near: Wire) throws -> Wire {
        let client = try world.connect()
        try client.send(request(fields: Self.upgrade))
        _ = try near.read(through: "\r\n\r\n")
        try near.send("\(Self.switching)\r\n")
        _ = try client.read(through: "\r\n\r\n")
        return client
    }

    @Test func anUpgradeBecomesATunnel() async throws {
        try await withWorld { world in
            let (near, far) = try Wire.pair()
            world.doors.change("one") { $0.sockets[8000] = far }
            try await onThread {
                let client = try world.connect(receiveBuffer: 16 * 1024)
                defer { client.close() }
                // Bytes that come with the heads are not lost.
                try client.send(request(fields: Self.upgrade) + "early")
                let head = try #require(try near.read(through: "\r\n\r\n"))
                #expect(head.contains("connection: upgrade\r\n") && head.contains("upgrade: echo\r\n"))
                try near.send(Self.switching + "Sec-WebSocket-Accept: x\r\n\r\nhello")
                let answer = try #require(try client.read(through: "\r\n\r\n"))
                #expect(answer.hasPrefix("HTTP/1.1 101") && answer.contains("upgrade: echo"))
                #expect(answer.contains("Sec-WebSocket-Accept: x"))
                #expect(try client.read(exactly: 5) == Array("hello".utf8))
                #expect(try near.read(exactly: 5) == Array("early".utf8))
                // Nothing in it is HTTP, and it has its own back-pressure.
                let bytes = [UInt8](repeating: 0, count: 64 * 1024)
                let sent = try near.sendUntilStuck(bytes, limit: Self.size)
                #expect(sent < Self.held && world.gateway.shared.largestBuffer < Self.buffer)
                try client.skip(sent)
                try client.send("GET / HTTP/1.1\r\nHost: 8000-two.sbx.localhost\r\n\r\n")
                #expect(try near.read(through: "\r\n\r\n") != nil)
                near.close()
                #expect(client.isAtEnd())
            }
            #expect(!world.doors.connects.contains { $0.hasPrefix("two") })
        }
    }

    @Test(arguments: [true, false]) func oneSideOfATunnelMayFallSilentAndGoOnListening(_ isClient: Bool) async throws {
        try await withWorld { world in
            let (near, far) = try Wire.pair()
            world.doors.change("one") { $0.sockets[8000] = far }
            try await onThread {
                let client = try tunnel(in: world, to: near)
                defer { client.close() }
                let (silent, other) = isClient ? (client, near) : (near, client)
                try silent.send("last words")
                silent.finishSending()
                #expect(try other.readToEnd() == Array("last words".utf8))
                // More than the kernel holds, so that it passes while the other side is silent.
                let answer = [UInt8](repeating: 7, count: Self.size)
                Thread {
                    try? other.send(answer)
                    other.finishSending()
                }.start()
                #expect(try silent.readToEnd() == answer)
            }
        }
    }

    @Test func anUpgradeThatThePortDoesNotWantIsAnOrdinaryRequest() async throws {
        try await withWorld { world in
            let port = world.port
            try await onThread {
                let wire = try Wire(port: port)
                defer { wire.close() }
                let answer = try wire.exchange(request(fields: Self.upgrade))
                #expect(answer.text.hasPrefix("one:8000\n") && answer.field("connection") == "close")
                #expect(wire.isAtEnd())
            }
        }
    }

    @Test func HTTP2IsNotSpokenInATunnel() async throws {
        try await withWorld { world in
            let fields = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n"
            let seen = try await world.exchange(request(fields: fields)).text
            #expect(seen.hasPrefix("one:8000\n") && !seen.contains("h2c") && !seen.contains("http2-settings"))
        }
    }

    @Test func aTunnelIsResetWithItsSandbox() async throws {
        try await withWorld { world in
            let (near, far) = try Wire.pair()
            world.doors.change("one") { $0.sockets[8000] = far }
            try await onThread {
                let client = try tunnel(in: world, to: near)
                defer { client.close() }
                world.doors.kill("one")
                #expect(throws: WireError(what: "recv: \(ECONNRESET)")) { try client.readToEnd() }
                #expect(near.isAtEnd())
            }
        }
    }

    @Test func anAnswerIsResetWithItsSandboxAndNoOther() async throws {
        try await withWorld { world in
            let (one, oneFar) = try Wire.pair()
            let (two, twoFar) = try Wire.pair()
            world.doors.change("one") { $0.sockets[8000] = oneFar }
            world.doors.change("two") { $0.sockets[8000] = twoFar }
            try await onThread {
                let clients = [try world.connect(), try world.connect()]
                defer { for client in clients { client.close() } }
                for (client, (name, port)) in zip(clients, [("one", one), ("two", two)]) {
                    try client.send(request(host: "8000-\(name).sbx.localhost"))
                    _ = try port.read(through: "\r\n\r\n")
                    try port.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
                    _ = try client.read(through: "abc\r\n")
                }
                world.doors.kill("one")
                #expect(throws: WireError(what: "recv: \(ECONNRESET)")) { try clients[0].readToEnd() }
                #expect(one.isAtEnd())
                // Whoever asks why is told at once.
                let after = try world.connect()
                defer { after.close() }
                #expect(try after.exchange(request("GET", "/health")).text.contains("was not found"))
                try two.send("0\r\n\r\n")
                #expect(try clients[1].read(through: "0\r\n\r\n") != nil)
            }
        }
    }

    @Test func aRequestThatWaitsForItsWayIsResetToo() async throws {
        try await withWorld { world in
            // Nobody answers on the other end.
            let (near, far) = try Wire.pair()
            world.doors.change("one") { $0.sockets[8000] = far }
            try await onThread {
                let client = try world.connect()
                defer { client.close() }
                try client.send(request())
                _ = try near.read(through: "\r\n\r\n")
                world.doors.kill("one")
                #expect(throws: WireError(what: "recv: \(ECONNRESET)")) { try client.readToEnd() }
            }
        }
    }
}
