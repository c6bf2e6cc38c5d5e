import BerthTestSupport
import Foundation
import Testing
import Waiting

@testable import SandboxGateway

@Suite struct LimitTests {
    private func limits(_ change: (inout SandboxGatewayLimits) -> Void) -> SandboxGatewayLimits {
        var limits = SandboxGatewayLimits.quick
        change(&limits)
        return limits
    }

    @Test func aHeadThatDoesNotEndIsNotWaitedFor() async throws {
        try await withWorld(limits: limits { $0.headDeadline = .milliseconds(100) }) { world in
            try await onThread {
                let slow = try world.connect()
                defer { slow.close() }
                try slow.send("GET / HTTP/1.1\r\nHost: 8000-one.sbx.localhost\r\nX-")
                let answer = try #require(try slow.readMessage())
                #expect(answer.status == 408 && slow.isAtEnd())
                let silent = try world.connect()
                defer { silent.close() }
                #expect(silent.isAtEnd())
            }
            #expect(world.doors.asked.isEmpty)
        }
    }

    @Test func aConnectionThatIsNotUsedIsClosed() async throws {
        try await withWorld(limits: limits { $0.keepAliveIdle = .milliseconds(50) }) { world in
            try await onThread {
                let wire = try world.connect()
                defer { wire.close() }
                #expect(try wire.exchange(request()).status == 200)
                #expect(wire.isAtEnd())
            }
        }
    }

    @Test(arguments: [
        "X-A: \(String(repeating: "a", count: 40_000))\r\n", String(repeating: "X-A: b\r\n", count: 200),
        String(repeating: "X-A: \(String(repeating: "a", count: 1000))\r\n", count: 40),
    ])
    func aHeadThatIsTooLargeIsRefused(_ fields: String) async throws {
        try await withWorld { world in
            let answer = try await world.exchange(request(fields: fields))
            #expect(answer.status == 431)
            #expect(world.doors.asked.isEmpty)
        }
    }

    @Test func aPortsHeadThatIsTooLargeIsTold() async throws {
        try await withWorld(script: { connection in
            _ = connection.readRequest()
            connection.send("HTTP/1.1 200 OK\r\nX-A: \(String(repeating: "a", count: 40_000))\r\n\r\n")
            connection.awaitClose()
        }) { world in
            let answer = try await world.exchange(request())
            #expect(answer.status == 502)
        }
    }

    @Test func oneConnectionTooManyIsTold() async throws {
        try await withWorld(limits: limits { $0.connections = 2 }) { world in
            try await onThread {
                let wires = [try world.connect(), try world.connect()]
                for wire in wires { #expect(try wire.exchange(request()).status == 200) }
                let third = try world.connect()
                let answer = try third.exchange(request())
                #expect(answer.status == 503 && third.isAtEnd())
                for wire in wires + [third] { wire.close() }
            }
        }
    }

    @Test func addressesAreCountedAndThisMachineIsNot() {
        let count = ConnectionCount(limit: 5, perAddress: 1)
        #expect(count.enter("10.0.0.1") && !count.enter("10.0.0.1") && count.enter("10.0.0.2"))
        #expect(count.enter("127.0.0.1") && count.enter("127.0.0.1") && !count.enter("127.0.0.1"))
        count.leave("10.0.0.1")
        count.leave("10.0.0.1")
        #expect(count.enter("10.0.0.1") && count.total == 5)
    }

    @Test func oneExchangeOfASandboxTooManyIsTold() async throws {
        let limits = limits {
            $0.exchangesPerSandbox = 1
            $0.exchanges = 2
        }
        try await withWorld(limits: limits) { world in
            let (one, oneFar) = try Wire.pair()
            let (two, twoFar) = try Wire.pair()
            world.doors.change("one") { $0.sockets[8000] = oneFar }
            world.doors.change("two") { $0.sockets[8000] = twoFar }
            try await onThread {
                let wires = try (0..<4).map { _ in try world.connect() }
                defer { for wire in wires { wire.close() } }
                try wires[0].send(request())
                _ = try one.read(through: "\r\n\r\n")
                #expect(try wires[1].exchange(request()).status == 429)
                try wires[2].send(request(host: "8000-two.sbx.localhost"))
                _ = try two.read(through: "\r\n\r\n")
                #expect(try wires[3].exchange(request(host: "api.sbx.localhost")).status == 503)
                try one.send("HTTP/1.1 204 No Content\r\n\r\n")
                #expect(try wires[0].readMessage()?.status == 204)
                #expect(try wires[1].exchange(request()).status == 200)
            }
        }
    }

    @Test func aPortThatSaysNothingIsNotWaitedForForever() async throws {
        try await withWorld(limits: limits { $0.exchangeIdle = .milliseconds(100) }) { world in
            let (near, far) = try Wire.pair()
            world.doors.change("one") { $0.sockets[8000] = far }
            try await onThread {
                let wire = try world.connect()
                defer { wire.close() }
                let answer = try wire.exchange(request())
                #expect(answer.status == 504 && answer.text.contains("in time"))
                _ = try near.read(through: "\r\n\r\n")
                #expect(near.isAtEnd())
            }
        }
    }

    @Test func aPortThatFallsSilentIsReset() async throws {
        try await withWorld(
            limits: limits { $0.exchangeIdle = .milliseconds(100) },
            script: { connection in
                _ = connection.readRequest()
                connection.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc")
                connection.awaitClose()
            }
        ) { world in
            try await onThread {
                let wire = try world.connect()
                defer { wire.close() }
                try wire.send(request())
                #expect(throws: WireError(what: "recv: \(ECONNRESET)")) { try wire.readToEnd() }
            }
        }
    }

    @Test func aWayThatIsNotFoundIsGivenUp() async throws {
        try await withWorld(limits: limits { $0.openDeadline = .milliseconds(100) }) { world in
            world.doors.change("one") { $0.isLost = true }
            let answer = try await world.exchange(request())
            #expect(answer.status == 504)
        }
    }

    @Test func aTunnelThatIsSilentIsEnded() async throws {
        try await withWorld(
            limits: limits { $0.tunnelIdle = .milliseconds(100) },
            script: { connection in
                _ = connection.readRequest()
                connection.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n")
                connection.awaitClose()
            }
        ) { world in
            try await onThread {
                let wire = try world.connect()
                defer { wire.close() }
                try wire.send(request(fields: "Connection: Upgrade\r\nUpgrade: echo\r\n"))
                _ = try wire.read(through: "\r\n\r\n")
                #expect(wire.isAtEnd())
            }
        }
    }

    @Test func aTunnelOfWhichOneSideIsSilentEndsSooner() async throws {
        try await withWorld(limits: limits { $0.halfTunnelIdle = .milliseconds(100) }) { world in
            let (near, far) = try Wire.pair()
            world.doors.change("one") { $0.sockets[8000] = far }
            try await onThread {
                let wire = try world.connect()
                defer { wire.close() }
                try wire.send(request(fields: "Connection: Upgrade\r\nUpgrade: echo\r\n"))
                _ = try near.read(through: "\r\n\r\n")
                try near.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n")
                _ = try wire.read(through: "\r\n\r\n")
                wire.finishSending()
                // The port has nothing to say, and does not end either.
                #expect(throws: WireError(what: "recv: \(ECONNRESET)")) { try wire.readToEnd() }
            }
        }
    }

    @Test func stoppingEndsWhatIsIdleAndLetsAnswersEnd() async throws {
        try await withWorld { world in
            let (near, far) = try Wire.pair()
            world.doors.change("one") { $0.sockets[8000] = far }
            let (idle, busy) = try await onThread {
                let idle = try world.connect()
                #expect(try idle.exchange(request(host: "8000-two.sbx.localhost")).status == 200)
                let busy = try world.connect()
                try busy.send(request())
                _ = try near.read(through: "\r\n\r\n")
                return (idle, busy)
            }
            async let stopped: Void = world.gateway.stop(grace: .seconds(20))
            try await onThread {
                // It is idle connections first; by then nobody is let in any more.
                #expect(idle.isAtEnd())
                #expect(throws: WireError.self) { try world.connect() }
                try near.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                let answer = try #require(try busy.readMessage())
                #expect(answer.text == "ok" && answer.field("connection") == "close" && busy.isAtEnd())
                idle.close()
                busy.close()
            }
            await stopped
        }
    }

    @Test func afterTheGraceWhatIsLeftIsEnded() async throws {
        try await withWorld { world in
            let (one, oneFar) = try Wire.pair()
            let (two, twoFar) = try Wire.pair()
            world.doors.change("one") { $0.sockets[8000] = oneFar }
            world.doors.change("two") { $0.sockets[8000] = twoFar }
            let wires = try await onThread {
                let wires = [try world.connect(), try world.connect()]
                try wires[0].send(request())
                _ = try one.read(through: "\r\n\r\n")
                try wires[1].send(request(host: "8000-two.sbx.localhost"))
                _ = try two.read(through: "\r\n\r\n")
                try two.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc")
                _ = try wires[1].read(through: "abc")
                return wires
            }
            await world.gateway.stop(grace: .zero)
            try await onThread {
                let answer = try wires[0].readMessage()
                #expect(answer?.status == 503)
                #expect(throws: WireError(what: "recv: \(ECONNRESET)")) { try wires[1].readToEnd() }
                for wire in wires { wire.close() }
            }
        }
    }

    @Test func aPortThatIsTakenIsTold() async throws {
        try await withWorld { world in
            let second = SandboxGateway(
                configuration: .init(port: world.port, controlSocket: "/nonexistent"), doors: world.doors)
            let error = await #expect(throws: (any Error).self) { _ = try await second.start() }
            #expect("\(String(describing: error))".contains("already taken"))
        }
    }
}
