import BerthTestSupport
import Foundation
import Testing

@testable import SandboxGateway

/// What a stranger may write to get somewhere else, and where it gets.
struct Forgery: Sendable, CustomTestStringConvertible {
    /// Who answers, or what is answered.
    enum Outcome: Sendable, Equatable {
        /// The port or the control plane that mirrors it.
        case reaches(String)
        case refused(Int)
    }

    let name: String
    let bytes: String
    let outcome: Outcome
    var testDescription: String { name }

    init(_ name: String, _ bytes: String, _ outcome: Outcome) {
        self.name = name
        self.bytes = bytes
        self.outcome = outcome
    }

    private static let toTwo = "E2b-Sandbox-Id: two\r\nE2b-Sandbox-Port: 8000\r\n"

    private static func get(_ host: String, _ fields: String = "", target: String = "/") -> String {
        "GET \(target) HTTP/1.1\r\nHost: \(host)\r\n\(fields)\r\n"
    }

    static let hosts: [Forgery] = [
        .init("a port's own name", get("8000-one.sbx.localhost"), .reaches("one:8000")),
        .init("a name of a foreign domain", get("8000-one.e2b.app"), .reaches("one:8000")),
        .init("routing headers beside a port's name", get("8000-one.sbx.localhost", toTwo), .reaches("one:8000")),
        .init(
            "doubled routing headers beside a port's name", get("8000-one.sbx.localhost", toTwo + toTwo),
            .reaches("one:8000")),
        .init("a name in capitals", get("8000-ONE.SBX.LOCALHOST"), .reaches("one:8000")),
        .init("the port of the listener", get("8000-one.sbx.localhost:4980"), .reaches("one:8000")),
        .init("the dot of the root", get("8000-one.sbx.localhost."), .reaches("one:8000")),
        .init("a further part behind the id", get("8000-one-two.sbx.localhost"), .reaches("one:8000")),
        .init("routing headers at localhost", get("localhost", toTwo), .reaches("two:8000")),
        .init("routing headers at an address", get("127.0.0.1:4980", toTwo), .reaches("two:8000")),
        .init("routing headers at an address of IPv6", get("[::1]:4980", toTwo), .reaches("two:8000")),
        .init("routing headers at sandbox.", get("sandbox.sbx.localhost", toTwo), .reaches("two:8000")),
        .init("routing headers at the API's name", get("api.sbx.localhost", toTwo), .reaches("control")),
        .init("routing headers at a foreign name", get("example.com", toTwo), .reaches("control")),
        .init("routing headers at a number for an address", get("2130706433", toTwo), .reaches("control")),
        .init("routing headers at localhost.example.com", get("localhost.example.com", toTwo), .reaches("control")),
        .init("no sandbox of the name", get("8000-three.sbx.localhost"), .refused(502)),
        .init("a port that nobody listens on", get("81-one.sbx.localhost"), .refused(502)),
        .init("port 0", get("0-one.sbx.localhost"), .refused(400)),
        .init("port 65536", get("65536-one.sbx.localhost"), .refused(400)),
        .init("a signed port", get("+1-one.sbx.localhost"), .refused(400)),
        .init("a label without an id", get("8000-.sbx.localhost"), .refused(400)),
        .init("an id with an underscore", get("8000-o_ne.sbx.localhost"), .refused(400)),
        .init("a name below a port's name", get("x.8000-one.sbx.localhost"), .refused(400)),
        .init("a name that is nothing", get("docs.sbx.localhost"), .refused(400)),
        .init("user information", get("8000-one.sbx.localhost@two"), .refused(400)),
        .init("user information before", get("a@8000-two.sbx.localhost"), .refused(400)),
        .init("a space in the host", get("8000-one.sbx.localhost two"), .refused(400)),
        .init("a tab in the host", get("8000-one\t.sbx.localhost"), .refused(400)),
        .init("a comma between two hosts", get("8000-one.sbx.localhost, 8000-two.sbx.localhost"), .refused(400)),
        .init("a port in words", get("8000-one.sbx.localhost:http"), .refused(400)),
        .init("a port of the host that is none", get("8000-one.sbx.localhost:99999"), .refused(400)),
        .init("two ports of the host", get("8000-one.sbx.localhost:1:2"), .refused(400)),
        .init("a colon and no port", get("8000-one.sbx.localhost:"), .refused(400)),
        .init("an empty host", get(""), .refused(400)),
        .init("an empty label", get("8000-one..sbx.localhost"), .refused(400)),
        .init("a slash in the host", get("8000-one.sbx.localhost/../two"), .refused(400)),
        .init("percent-encoding in the host", get("8000-%6fne.sbx.localhost"), .refused(400)),
        .init("half an address of IPv6", get("[::1", toTwo), .refused(400)),
        .init(
            "two hosts", get("8000-one.sbx.localhost", "Host: 8000-two.sbx.localhost\r\n"), .refused(400)),
        .init("the same host twice", get("8000-one.sbx.localhost", "Host: 8000-one.sbx.localhost\r\n"), .refused(400)),
        .init("no host", "GET / HTTP/1.1\r\n\(toTwo)\r\n", .refused(400)),
        .init("no host in HTTP/1.0", "GET / HTTP/1.0\r\n\(toTwo)\r\n", .refused(400)),
    ]

    static let fields: [Forgery] = [
        .init("only the id", get("localhost", "E2b-Sandbox-Id: two\r\n"), .refused(400)),
        .init("only the port", get("localhost", "E2b-Sandbox-Port: 8000\r\n"), .refused(400)),
        .init("two ids", get("localhost", "E2b-Sandbox-Id: one\r\n" + toTwo), .refused(400)),
        .init("two ports", get("localhost", "E2b-Sandbox-Port: 1\r\n" + toTwo), .refused(400)),
        .init(
            "two ids in one field", get("localhost", "E2b-Sandbox-Id: one, two\r\nE2b-Sandbox-Port: 8000\r\n"),
            .refused(400)),
        .init(
            "an id that climbs", get("localhost", "E2b-Sandbox-Id: ../two\r\nE2b-Sandbox-Port: 8000\r\n"),
            .refused(400)),
        .init(
            "an id in capitals", get("localhost", "E2b-Sandbox-Id: TWO\r\nE2b-Sandbox-Port: 8000\r\n"),
            .refused(400)),
        .init("an empty id", get("localhost", "E2b-Sandbox-Id:\r\nE2b-Sandbox-Port: 8000\r\n"), .refused(400)),
        .init(
            "port 0 in a field", get("localhost", "E2b-Sandbox-Id: two\r\nE2b-Sandbox-Port: 0\r\n"), .refused(400)),
        .init(
            "port 65536 in a field", get("localhost", "E2b-Sandbox-Id: two\r\nE2b-Sandbox-Port: 65536\r\n"),
            .refused(400)),
        .init(
            "a signed port in a field", get("localhost", "E2b-Sandbox-Id: two\r\nE2b-Sandbox-Port: +1\r\n"),
            .refused(400)),
        .init(
            "a port in hexadecimal", get("localhost", "E2b-Sandbox-Id: two\r\nE2b-Sandbox-Port: 0x50\r\n"),
            .refused(400)),
        .init(
            "an underscore for a hyphen", get("localhost", "E2b_Sandbox_Id: two\r\nE2b_Sandbox_Port: 8000\r\n"),
            .reaches("control")),
        .init(
            "Connection names the id", get("localhost", "Connection: E2b-Sandbox-Id\r\n" + toTwo), .refused(400)),
        .init(
            "Connection names the host", get("8000-one.sbx.localhost", "Connection: close, Host\r\n"),
            .refused(400)),
        .init(
            "Connection names the token", get("8000-one.sbx.localhost", "Connection: E2B-Traffic-Access-Token\r\n"),
            .refused(400)),
        .init(
            "a forwarded host", get("8000-one.sbx.localhost", "X-Forwarded-Host: 8000-two.sbx.localhost\r\n"),
            .reaches("one:8000")),
        .init(
            "a folded field", get("8000-one.sbx.localhost", "X-A: b\r\n Host: 8000-two.sbx.localhost\r\n"),
            .refused(400)),
        .init("a folded host", "GET / HTTP/1.1\r\nHost: 8000-one\r\n .sbx.localhost\r\n\r\n", .refused(400)),
        .init(
            "a space before the colon", "GET / HTTP/1.1\r\nHost : 8000-two.sbx.localhost\r\n\r\n", .refused(400)),
        .init("a bare carriage return", get("8000-one.sbx.localhost", "X-A: b\rHost: 8000-two\r\n"), .refused(400)),
        .init("a NUL", get("8000-one.sbx.localhost", "X-A: b\0c\r\n"), .refused(400)),
        .init("a field without a name", get("8000-one.sbx.localhost", ": b\r\n"), .refused(400)),
        .init("a line without a colon", get("8000-one.sbx.localhost", "nonsense\r\n"), .refused(400)),
    ]

    static let targets: [Forgery] = [
        .init(
            "an absolute target", get("8000-one.sbx.localhost", target: "http://8000-two.sbx.localhost/"),
            .refused(400)),
        .init("a target without a slash", get("8000-one.sbx.localhost", target: "two"), .refused(400)),
        .init("an authority for a target", get("8000-one.sbx.localhost", target: "two:8000"), .refused(400)),
        .init("a fragment", get("8000-one.sbx.localhost", target: "/a#b"), .refused(400)),
        .init("bytes that want encoding", get("8000-one.sbx.localhost", target: "/ä"), .refused(400)),
        .init("CONNECT", "CONNECT 8000 HTTP/1.1\r\nHost: 49983-one.sbx.localhost\r\n\r\n", .refused(405)),
        .init("TRACE", "TRACE / HTTP/1.1\r\nHost: 8000-one.sbx.localhost\r\n\r\n", .refused(405)),
        .init("HTTP/2 without TLS", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", .refused(400)),
        .init("HTTP/0.9", "GET /\r\n\r\n", .refused(400)),
    ]

    private static func post(_ fields: String, _ body: String) -> String {
        "POST / HTTP/1.1\r\nHost: 8000-one.sbx.localhost\r\n\(fields)\r\n\(body)"
    }

    private static let smuggled = "GET / HTTP/1.1\r\nHost: 8000-two.sbx.localhost\r\n\r\n"

    static let lengths: [Forgery] = [
        .init("two lengths", post("Content-Length: 0\r\nContent-Length: 5\r\n", "hello"), .refused(400)),
        .init("the same length twice", post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"), .refused(400)),
        .init(
            "a length and chunks", post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n" + smuggled),
            .refused(400)),
        .init(
            "chunks and a length", post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n" + smuggled),
            .refused(400)),
        .init(
            "chunks twice", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
            .refused(400)),
        .init("an unknown coding", post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), .refused(501)),
        .init("a coding that hides", post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n" + smuggled), .refused(501)),
        .init("a negative length", post("Content-Length: -1\r\n", ""), .refused(400)),
        .init("a signed length", post("Content-Length: +5\r\n", "hello"), .refused(400)),
        .init("a length that overflows", post("Content-Length: 99999999999999999999\r\n", ""), .refused(400)),
        .init("two lengths in one field", post("Content-Length: 0, 5\r\n", "hello"), .refused(400)),
        .init(
            "chunks in HTTP/1.0",
            "POST / HTTP/1.0\r\nHost: 8000-one.sbx.localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            .refused(400)),
    ]
}

@Suite struct ForgedRequestTests {
    @Test(arguments: Forgery.hosts + Forgery.fields + Forgery.targets + Forgery.lengths)
    func aRequestGetsWhereItsHostSaysOrNowhere(_ forgery: Forgery) async throws {
        try await withWorld { world in
            let answer = try await world.exchange(forgery.bytes)
            switch forgery.outcome {
            case .reaches(let place):
                #expect(answer.status == 200)
                #expect(answer.text.hasPrefix(place + "\n"))
            case .refused(let status):
                #expect(answer.status == status)
                // Nobody has seen anything of it: not the one, and not the other.
                if status != 502 { #expect(world.doors.connects.isEmpty) }
            }
            let isForTwo = forgery.outcome == .reaches("two:8000")
            #expect(world.doors.connects.contains { $0.hasPrefix("two:") } == isForTwo)
        }
    }

    @Test func whatIsBehindABodyIsARequestOfItsOwnAndJudgedByItself() async throws {
        try await withWorld { world in
            let port = world.port
            try await onThread {
                let wire = try Wire(port: port)
                defer { wire.close() }
                let inner = request("GET", "/inner", host: "8000-two.sbx.localhost")
                try wire.send(
                    request("POST", "/a", body: inner) + request("GET", "/b", host: "8000-two.sbx.localhost")
                        + request("GET", "/c", host: "docs.sbx.localhost"))
                let first = try #require(try wire.readMessage())
                #expect(first.text.hasPrefix("one:8000\nPOST /a\n") && first.text.hasSuffix(inner))
                #expect(try wire.readMessage()?.text.hasPrefix("two:8000\nGET /b\n") == true)
                #expect(try wire.readMessage()?.status == 400)
                #expect(wire.isAtEnd())
            }
        }
    }

    @Test func theMissingHeaderIsNamed() async throws {
        try await withWorld { world in
            let answer = try await world.exchange(request(host: "localhost", fields: "E2b-Sandbox-Id: one\r\n"))
            #expect(answer.text == #"{"code":400,"message":"the header E2b-Sandbox-Port is missing"}"#)
        }
    }

    @Test(arguments: [
        "/init", "/freeze", "/unfreeze", "/collapse", "/fsfreeze", "/fsthaw", "/upgrade", "/berth/listeners", "/berth",
        "/init?a=b", "/init/", "//init", "/./init", "/x/../init", "/%69nit", "/%2569nit", "/INIT", "/%2e%2e/init",
        "/..%2finit", "/init%00", "/init;a", "/%5cinit", "/%zz",
    ])
    func pathsOfTheAgentsHostAreNotFound(_ path: String) async throws {
        try await withWorld { world in
            let answer = try await world.exchange(request("POST", path, host: "49983-one.sbx.localhost", body: "{}"))
            #expect(answer.status == 404)
            #expect(world.doors.connects.isEmpty)
            // They are only the agent's; an app may have them.
            let other = try await world.exchange(request("POST", path, host: "8000-one.sbx.localhost", body: "{}"))
            #expect(other.text.hasPrefix("one:8000\nPOST \(path)\n"))
        }
    }

    @Test(arguments: ["/files?path=init", "/initial", "/process.Process/Start", "/x/init", "/health"])
    func otherPathsOfTheAgentAreReached(_ path: String) async throws {
        try await withWorld { world in
            let answer = try await world.exchange(request("POST", path, host: "49983-one.sbx.localhost", body: "{}"))
            #expect(answer.text.hasPrefix("one:49983\nPOST \(path)\n"))
        }
    }
}
