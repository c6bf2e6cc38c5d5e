import DeploymentCore
import Foundation
import Glibc
import Sandboxes
import Testing

@testable import Egress

/// What is not let out, and how that is said.
@Suite(.timeLimit(.minutes(2))) struct RefusalTests {
    /// The answer to one request, and to nothing more.
    static func ask(_ test: TestProxy, _ request: String) async throws -> (Int, String, JSONValue?) {
        try await onThread {
            let client = try test.connect()
            try client.send(request)
            let answer = try client.answer()
            return (answer.status, answer.phrase, answer.problem)
        }
    }

    static func connect(_ test: TestProxy, _ target: String) async throws -> (Int, String, JSONValue?) {
        try await ask(test, "CONNECT \(target) HTTP/1.1\r\n\r\n")
    }

    @Test func refusalNamesHostAndRule() async throws {
        let host = try Host()
        try await withProxy(.egress) { test in
            let (status, phrase, problem) = try await Self.connect(test, "127.0.0.1:\(host.port)")
            #expect(status == 403)
            // Most clients show no more of an answer to CONNECT.
            #expect(phrase.contains("127.0.0.1:\(host.port) is loopback"))
            #expect(problem?["type"]?.string == "urn:berth:problem:egress-refused")
            #expect(problem?["host"]?.string == "127.0.0.1:\(host.port)")
            #expect(problem?["rule"]?.string == "loopback")
            #expect(problem?["detail"]?.string == phrase)
            #expect(host.isLonely)
        }
    }

    /// A name that stands for another address each time: what was checked is what is connected with.
    @Test func reboundNameReachesNothingPrivate() async throws {
        let host = try Host()
        let private4 = try #require(IPAddress(parsing: "127.0.0.1"))
        let mapped = try #require(IPAddress(parsing: "::ffff:127.0.0.1"))
        let answers = Locked([[private4], [mapped], [mapped, private4]])
        try await withProxy(
            .egress, resolve: { _ in answers.withLock { $0.isEmpty ? [private4] : $0.removeFirst() } }
        ) { test in
            for _ in 0..<4 {
                let (status, _, problem) = try await Self.connect(test, "rebound.example:\(host.port)")
                #expect(status == 403)
                #expect(problem?["rule"]?.string == "loopback")
            }
            let plain = try await Self.ask(test, "GET http://rebound.example:\(host.port)/ HTTP/1.1\r\n\r\n")
            #expect(plain.0 == 403)
            #expect(host.isLonely)
        }
    }

    /// Asked once, though it is tried twice: a second question could be answered otherwise.
    @Test func nameIsLookedUpOnceForEachConnection() async throws {
        let host = try Host("127.0.0.2")
        let lookups = Locked<[String]>([])
        let addresses = try ["127.0.0.3", "127.0.0.2"].map { try #require(IPAddress(parsing: $0)) }
        try await withProxy(
            try rules("two.example", "127.0.0.0/8"),
            resolve: { name in
                lookups.withLock { $0.append(name) }
                return addresses
            }
        ) { test in
            try await onThread {
                let client = try test.tunnel(host.port, "two.example")
                let server = try host.accept()
                try client.send("through the second")
                #expect(try server.take(18) == "through the second")
            }
            #expect(lookups.withLock { $0 } == ["two.example"])
        }
    }

    @Test func unlistedNameIsNotLookedUp() async throws {
        let lookups = Locked(0)
        try await withProxy(
            try rules("a.example"),
            resolve: { _ in
                lookups.withLock { $0 += 1 }
                return []
            }
        ) { test in
            let unlisted = try await Self.connect(test, "data-to-carry-out.evil.example:443")
            #expect(unlisted.0 == 403)
            #expect(lookups.withLock { $0 } == 0)
            let listed = try await Self.connect(test, "a.example:443")
            #expect(listed.0 == 502)
            #expect(lookups.withLock { $0 } == 1)
        }
    }

    // MARK: what is told

    @Test func eachHostIsToldOnceAndNotWithoutEnd() async throws {
        var limits = EgressLimits.patient
        limits.toldHosts = 3
        try await withProxy(try rules("a.example"), limits: limits) { test in
            for host in ["b", "b", "c", "b", "d", "e", "f"] {
                for port in [80, 443] {
                    #expect(try await Self.connect(test, "\(host).example:\(port)").0 == 403)
                }
            }
            // A path or a header holds secrets; a host is all that is told.
            _ = try await Self.ask(test, "GET http://b.example/?token=secret HTTP/1.1\r\nCookie: secret\r\n\r\n")
            var lines: [String] = []
            for await refusal in test.told {
                #expect(refusal.sandbox == TestProxy.sandbox)
                #expect(refusal.labels.deployment == "demo")
                lines.append(refusal.text)
                if lines.count == 4 { break }
            }
            #expect(lines[0] == "b.example:80 is not in the manifest's network list")
            #expect(lines[1].hasPrefix("c.example:80 "))
            #expect(lines[2].hasPrefix("d.example:80 "))
            #expect(lines[3] == "more hosts were refused; they are not told any more")
        }
    }

    // MARK: one sandbox, several proxies

    /// A control plane that starts again finds a sandbox that still has its folder.
    @Test func anotherProxyTakesThePlaceOfTheFirst() async throws {
        let host = try Host()
        try await withProxy(try rules("127.0.0.1")) { first in
            let before = try await onThread { try first.tunnel(host.port) }
            await first.proxy.close()
            try await onThread {
                let rest = try before.receive()
                #expect(rest.isEmpty)
                #expect(throws: LineError.self) { try first.connect() }
            }
            let second = EgressProxy { _ in }
            try await second.open(first.way(try rules("127.0.0.1")))
            try await onThread {
                let client = try first.tunnel(host.port)
                _ = try host.accept()
                let server = try host.accept()
                try client.send("again")
                #expect(try server.take(5) == "again")
            }
            await second.close()
        }
    }

    @Test func openingAgainChangesWhatIsAllowedAndWhoIsTold() async throws {
        let host = try Host()
        try await withProxy(.egress) { test in
            #expect(try await Self.connect(test, "127.0.0.1:\(host.port)").0 == 403)
            try await test.proxy.open(test.way(try rules("127.0.0.1"), nonce: "later"))
            try await onThread { _ = try test.tunnel(host.port) }
            #expect(try await Self.connect(test, "10.0.0.1:1").0 == 403)
            var nonces: [String] = []
            for await refusal in test.told {
                nonces.append(refusal.labels.nonce)
                if nonces.count == 2 { break }
            }
            #expect(nonces == ["nonce", "later"])
        }
    }

    @Test func missingFolderIsSaid() async throws {
        try await withProxy(.egress) { test in
            var way = test.way(.egress)
            way.sandbox = "s2"
            way.folder = "\(test.folder)/missing"
            let error = await #expect(throws: BerthError.self) { try await test.proxy.open(way) }
            #expect(error?.code == .sandbox)
            #expect(test.proxy.traffic(of: "s2") == nil)
        }
    }
}
