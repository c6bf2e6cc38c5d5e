import DeploymentCore
import Testing

@testable import Egress

/// How requests are read, and that nothing ambiguous is.
@Suite struct RequestTests {
    static func parse(_ text: String) throws(EgressProblem) -> ProxyRequest {
        try ProxyRequest.parse(Array(text.utf8)[...], limits: EgressLimits())
    }

    @Test(arguments: [
        ("example.com:443", "example.com:443"), ("EXAMPLE.com.:443", "example.com:443"),
        ("1.2.3.4:80", "1.2.3.4:80"), ("[2001:DB8::1]:80", "[2001:db8::1]:80"), ("[::ffff:1.2.3.4]:80", "1.2.3.4:80"),
        ("under_score.example:1", "under_score.example:1"),
    ])
    func tunnelNamesItsHost(asked: String, host: String) throws {
        let request = try Self.parse("CONNECT \(asked) HTTP/1.1\r\nHost: other\r\nProxy-Authorization: Basic eA==")
        #expect("\(request.target)" == host)
        #expect(request.kind == .tunnel)
    }

    @Test func requestGoesOnWithoutWhatIsMeantForUs() throws {
        let request = try Self.parse(
            "POST http://Example.com:8080/a?b HTTP/1.1\r\nHost: evil.example\r\nProxy-Connection: keep-alive\r\n"
                + "Connection: X-Private, close\r\nX-Private: 1\r\nProxy-Authorization: Basic eA==\r\nTE: trailers\r\n"
                + "Upgrade: websocket\r\nContent-Length: 3\r\nX-Kept: yes")
        #expect("\(request.target)" == "example.com:8080")
        guard case .forward(let head, _) = request.kind else {
            Issue.record("no tunnel was asked for")
            return
        }
        #expect(
            String(decoding: head, as: UTF8.self)
                == "POST /a?b HTTP/1.1\r\nHost: Example.com:8080\r\nContent-Length: 3\r\nX-Kept: yes\r\nConnection: close\r\n\r\n"
        )
    }

    @Test(arguments: [("http://h.example", "/"), ("http://h.example?q=1", "/?q=1"), ("HTTP://h.example/x", "/x")])
    func urlWithoutAPathHasOne(url: String, path: String) throws {
        let request = try Self.parse("GET \(url) HTTP/1.0")
        guard case .forward(let head, let body) = request.kind else {
            Issue.record("no tunnel was asked for")
            return
        }
        #expect(request.target.port == 80)
        #expect(String(decoding: head, as: UTF8.self).hasPrefix("GET \(path) HTTP/1.0\r\nHost: h.example\r\n"))
        #expect(body.isOver)
    }

    @Test(arguments: [
        // The request line.
        "", "GET", "GET http://h.example/", "GET  http://h.example/ HTTP/1.1", " GET http://h.example/ HTTP/1.1",
        "GET http://h.example/ HTTP/1.1 x", "G(T http://h.example/ HTTP/1.1", "GET\thttp://h.example/\tHTTP/1.1",
        "GET / HTTP/1.1", "OPTIONS * HTTP/1.1", "GET https://h.example/ HTTP/1.1", "GET ftp://h.example/ HTTP/1.1",
        "GET http:///x HTTP/1.1", "GET http://user@h.example/ HTTP/1.1", "GET http://h.example/#x HTTP/1.1",
        "GET http://h.example\\@evil.example/ HTTP/1.1", "GET http://h.example:0/ HTTP/1.1",
        "GET http://h.example:65536/ HTTP/1.1", "GET http://h.example:+80/ HTTP/1.1", "GET http://h.example:/ HTTP/1.1",
        "GET http://h%2eexample/ HTTP/1.1", "GET http://127.1/ HTTP/1.1", "GET http://2130706433/ HTTP/1.1",
        "GET http://0x7f000001/ HTTP/1.1", "GET http://0177.0.0.1/ HTTP/1.1", "GET http://1.2.3.04/ HTTP/1.1",
        "GET http://[::1%25lo]/ HTTP/1.1", "GET http://[1.2.3.4]/ HTTP/1.1", "GET http://::1/ HTTP/1.1",
        "GET http://-h.example/ HTTP/1.1", "GET http://h..example/ HTTP/1.1", "GET http://h.example\u{0}/ HTTP/1.1",
        "CONNECT h.example HTTP/1.1", "CONNECT h.example: HTTP/1.1", "CONNECT :443 HTTP/1.1",
        "CONNECT http://h.example:443 HTTP/1.1", "CONNECT h.example:443/x HTTP/1.1", "CONNECT [::1:443 HTTP/1.1",
        "CONNECT u@h.example:443 HTTP/1.1", "CONNECT h.example:443:80 HTTP/1.1", "connect h.example:443 HTTP/1.1",
        // Fields.
        "GET http://h.example/ HTTP/1.1\r\nX", "GET http://h.example/ HTTP/1.1\r\n: x",
        "GET http://h.example/ HTTP/1.1\r\nX : x", "GET http://h.example/ HTTP/1.1\r\nX: y\r\n folded",
        "GET http://h.example/ HTTP/1.1\r\nX: a\u{0}b", "GET http://h.example/ HTTP/1.1\nX: y",
        "GET http://h.example/ HTTP/1.1\r\nX: y\rZ: z", "GET http://h.example/ HTTP/1.1\r\nX: \u{7F}",
        // Bodies.
        "POST http://h.example/ HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1",
        "POST http://h.example/ HTTP/1.1\r\nContent-Length: 1, 1",
        "POST http://h.example/ HTTP/1.1\r\nContent-Length: -1",
        "POST http://h.example/ HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked",
        "POST http://h.example/ HTTP/1.1\r\nTransfer-Encoding: gzip, chunked",
        "POST http://h.example/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "POST http://h.example/ HTTP/1.0\r\nTransfer-Encoding: chunked",
        "POST http://h.example/ HTTP/1.1\r\nConnection: Content-Length\r\nContent-Length: 5",
        "CONNECT h.example:443 HTTP/1.1\r\nContent-Length: 5",
        "CONNECT h.example:443 HTTP/1.1\r\nTransfer-Encoding: chunked",
    ])
    func whatIsAmbiguousIsRefused(text: String) {
        let problem = #expect(throws: EgressProblem.self) { try Self.parse(text) }
        #expect(problem?.status == 400)
    }

    @Test(arguments: ["HTTP/2.0", "HTTP/0.9", "HTTP/1.2", "HTTP/1.1x"]) func otherVersionsAreRefused(version: String) {
        let problem = #expect(throws: EgressProblem.self) { try Self.parse("GET http://h.example/ \(version)") }
        #expect(problem == .unsupportedVersion)
    }

    @Test func tooManyFieldsAreRefused() {
        let fields = String(repeating: "\r\nX: y", count: EgressLimits().fields + 1)
        let problem = #expect(throws: EgressProblem.self) { try Self.parse("GET http://h.example/ HTTP/1.1\(fields)") }
        #expect(problem == .headTooLarge)
    }

    // MARK: bodies

    static func extent(_ field: String) throws -> BodyExtent {
        let request = try parse("POST http://h.example/ HTTP/1.1\r\n\(field)")
        guard case .forward(_, let body) = request.kind else { throw LineError(what: "a tunnel has no body") }
        return body
    }

    @Test(arguments: [
        ("Content-Length: 3", "abc", "GET http://evil.example/"), ("Content-Length: 0", "", "x"),
        ("Transfer-Encoding: chunked", "3\r\nabc\r\n0\r\n\r\n", "GET"),
        (
            "Transfer-Encoding: Chunked",
            "00a;ext=\"x\"\r\n0123456789\r\n1\r\n\r\r\n0\r\nTrailer: x\r\nMore: y\r\n\r\n", "\r\n"
        ),
    ])
    func bodyEndsWhereItsFramingSays(field: String, body: String, behind: String) throws {
        let bytes = Array((body + behind).utf8)
        var whole = try Self.extent(field)
        #expect(whole.take(bytes) == body.utf8.count)
        #expect(whole.isOver)
        var parts = try Self.extent(field)
        let count = bytes.reduce(0) { $0 + (parts.take([$1]) ?? -1000) }
        #expect(count == body.utf8.count)
        #expect(parts.isOver)
    }

    @Test(arguments: [
        "x\r\n", "\r\n", "-1\r\n", "3\nabc", "3\r\nabcd", "3\r\nabc\n", "123456789\r\n", "1 \n", "0\r\nX: y\n",
        "3\r\nabc\rx",
    ])
    func whatIsNoChunkIsFound(text: String) throws {
        var extent = try Self.extent("Transfer-Encoding: chunked")
        #expect(extent.take(Array(text.utf8)) == nil)
    }

    @Test func endlessChunkExtensionIsRefused() throws {
        var extent = try Self.extent("Transfer-Encoding: chunked")
        #expect(extent.take(Array(("1;" + String(repeating: "x", count: BodyExtent.lineLimit + 1)).utf8)) == nil)
    }
}
