import DeploymentCore
import Foundation
import Glibc
import Sandboxes
import Testing

@testable import Egress

/// What is too slow, too large, too much or no request at all.
@Suite(.timeLimit(.minutes(2))) struct EgressLimitTests {
    // MARK: what does not come in time

    @Test func nameThatIsNotAnsweredHasADeadline() async throws {
        var limits = EgressLimits.patient
        limits.lookupDeadline = .milliseconds(100)
        try await withProxy(
            .egress, limits: limits,
            resolve: { _ in
                try await Task.sleep(for: .seconds(3600))
                return []
            }
        ) { test in
            let (status, _, problem) = try await RefusalTests.connect(test, "slow.example:443")
            #expect(status == 504)
            #expect(problem?["type"]?.string == "urn:berth:problem:lookup-timeout")
        }
    }

    @Test func hostThatAcceptsNothingHasADeadline() async throws {
        // A full queue answers no SYN.
        let host = try Host(backlog: 0)
        var limits = EgressLimits.patient
        limits.attemptDeadline = .milliseconds(200)
        try await withProxy(try rules("127.0.0.1"), limits: limits) { test in
            let first = try await onThread { try test.tunnel(host.port) }
            let (status, _, problem) = try await RefusalTests.connect(test, "127.0.0.1:\(host.port)")
            #expect(status == 504)
            #expect(problem?["type"]?.string == "urn:berth:problem:connect-timeout")
            first.close()
        }
    }

    @Test func hostThatRefusesIsNamed() async throws {
        let port = try Host().port
        try await withProxy(try rules("127.0.0.1")) { test in
            let (status, phrase, _) = try await RefusalTests.connect(test, "127.0.0.1:\(port)")
            #expect(status == 502)
            #expect(phrase.contains("127.0.0.1:\(port) gives no connection: connection refused"))
        }
    }

    @Test(arguments: ["", "CONN", "CONNECT 127.0.0.1:80 HTTP/1.1\r\nX: "]) func slowHeadHasADeadline(
        _ part: String
    ) async throws {
        var limits = EgressLimits.patient
        limits.headDeadline = .milliseconds(200)
        try await withProxy(.egress, limits: limits) { test in
            let answer = try await RefusalTests.ask(test, part)
            #expect(answer.0 == 408)
        }
    }

    @Test func appThatLeavesWhileItsNameIsLookedUpLeavesNothing() async throws {
        let begun = AsyncStream<Void>.makeStream()
        let cancelled = AsyncStream<Void>.makeStream()
        try await withProxy(
            .egress,
            resolve: { _ in
                begun.continuation.yield()
                defer { cancelled.continuation.yield() }
                try await Task.sleep(for: .seconds(3600))
                return []
            }
        ) { test in
            let client = try await onThread {
                let client = try test.connect()
                try client.send("CONNECT slow.example:443 HTTP/1.1\r\n\r\n")
                return client
            }
            for await _ in begun.stream { break }
            client.close()
            for await _ in cancelled.stream { break }
        }
    }

    // MARK: garbage and floods

    @Test(arguments: [
        ("\u{16}\u{3}\u{1}", 400), ("\r\n", 400), ("GET / HTTP/1.1\r\n\r\n", 400), ("\u{0}\u{0}\u{0}\u{0}", 400),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505), ("CONNECT x HTTP/1.1\r\n\r\n", 400),
        ("GET http://a.example/ HTTP/1.1\r\nX: \(String(repeating: "x", count: 17_000))", 431),
        (String(repeating: "x", count: 40_000), 431),
        ("GET http://a.example/ HTTP/1.1\r\n\(String(repeating: "X: y\r\n", count: 101))\r\n", 431),
    ])
    func garbageIsAnsweredAtOnce(_ request: String, _ status: Int) async throws {
        try await withProxy(.egress) { test in
            let answer = try await RefusalTests.ask(test, request)
            #expect(answer.0 == status)
        }
    }

    @Test func connectionsHaveALimitAndAreGivenBack() async throws {
        let host = try Host()
        var limits = EgressLimits.patient
        limits.connections = 3
        try await withProxy(try rules("127.0.0.1"), limits: limits) { test in
            let tunnels = try await onThread {
                try (0..<3).map { _ in (try test.tunnel(host.port), try host.accept()) }
            }
            let (status, _, _) = try await RefusalTests.connect(test, "127.0.0.1:\(host.port)")
            #expect(status == 503)
            try await onThread {
                for (client, server) in tunnels {
                    client.close()
                    let rest = try server.receive()
                    #expect(rest.isEmpty)
                }
                // Their ends were seen, so there is room again.
                _ = try test.tunnel(host.port)
            }
        }
    }

    /// A flood is not even told.
    @Test func thoseTurnedAwayHaveALimitToo() async throws {
        let host = try Host()
        var limits = EgressLimits.patient
        limits.connections = 1
        try await withProxy(try rules("127.0.0.1"), limits: limits) { test in
            try await onThread {
                let tunnel = try test.tunnel(host.port)
                let told = try test.connect()
                #expect(try told.takeHead().hasPrefix("HTTP/1.1 503 "))
                // It stays until it has gone, so this one is closed after its answer.
                let closed = try test.connect()
                #expect(try closed.takeAll().hasPrefix("HTTP/1.1 503 "))
                var state = pollfd(fd: closed.socket, events: Int16(POLLOUT), revents: 0)
                #expect(poll(&state, 1, 0) == 1 && state.revents & Int16(POLLHUP) != 0)
                try tunnel.send("still open")
                _ = try host.accept().take(10)
            }
        }
    }

    @Test func allSandboxesTogetherHaveALimit() async throws {
        let host = try Host()
        var limits = EgressLimits.patient
        limits.connectionsInAll = 1
        try await withProxy(try rules("127.0.0.1"), limits: limits) { test in
            let tunnel = try await onThread { try test.tunnel(host.port) }
            #expect(try await RefusalTests.connect(test, "127.0.0.1:\(host.port)").0 == 503)
            tunnel.close()
        }
    }

    /// A host may send and end while the app does not read: what is held for all of them together has a limit.
    @Test func connectionThatThereIsNoRoomForIsClosed() async throws {
        let host = try Host()
        var limits = EgressLimits.patient
        limits.held = 0
        try await withProxy(try rules("127.0.0.1"), limits: limits) { test in
            let rest = try await onThread {
                let client = try test.tunnel(host.port)
                let server = try host.accept()
                try server.send("x")
                return try client.receive()
            }
            #expect(rest.isEmpty)
        }
    }

    @Test func heldBytesAreGivenBack() async throws {
        let host = try Host()
        var limits = EgressLimits.patient
        limits.held = limits.read
        try await withProxy(try rules("127.0.0.1"), limits: limits) { test in
            try await onThread {
                let client = try test.tunnel(host.port)
                let server = try host.accept()
                for _ in 0..<64 {
                    try server.send([UInt8](repeating: 1, count: 1 << 10))
                    _ = try client.take(1 << 10)
                }
            }
        }
    }

    @Test func systemKnowsItsOwnNames() async throws {
        let lookup = NameLookup()
        let found = try await lookup.addresses(of: "localhost", for: "s")
        #expect(!found.isEmpty && found.allSatisfy(\.isLoopback))
        #expect(IPAddress.own().contains { $0.isLoopback })
    }

    /// Questions that nobody answers hold up their own sandbox, and no other one.
    @Test func slowNamesHoldUpTheirOwnSandboxOnly() async throws {
        let address = try #require(IPAddress(parsing: "1.1.1.1"))
        let gate = DispatchSemaphore(value: 0)
        let lookup = NameLookup { name in
            if name == "slow" { gate.wait() }
            return [address]
        }
        let slow = (0..<20).map { _ in Task { try await lookup.addresses(of: "slow", for: "a") } }
        #expect(try await lookup.addresses(of: "quick", for: "b") == [address])
        slow[19].cancel()
        await #expect(throws: CancellationError.self) { try await slow[19].value }
        for _ in 0..<20 { gate.signal() }
        for task in slow.dropLast() { #expect(try await task.value == [address]) }
    }
}
