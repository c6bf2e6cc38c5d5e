import Testing

/// Requests that no proxy may pass on, each with the status it gets.
struct HostileRequest: Sendable, CustomTestStringConvertible {
    let name: String
    let bytes: String
    let status: Int
    var testDescription: String { name }

    init(_ name: String, _ bytes: String, _ status: Int = 400) {
        self.name = name
        self.bytes = bytes
        self.status = status
    }

    private static func fields(_ name: String, _ fields: String, _ status: Int = 400, body: String = "") -> Self {
        Self(name, "POST /iris/predict HTTP/1.1\r\nHost: a\r\n\(fields)\r\n\(body)", status)
    }

    private static func target(_ target: String, _ status: Int = 400) -> Self {
        Self("target \(target.prefix(40))", "GET \(target) HTTP/1.1\r\nHost: a\r\n\r\n", status)
    }

    static let all: [HostileRequest] = lengths + encodings + lines + targets + hosts + others

    static let lengths: [HostileRequest] = [
        fields("length and chunks", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", body: "0\r\n\r\nGET"),
        fields("chunks and length", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", body: "0\r\n\r\n"),
        fields("two lengths", "Content-Length: 5\r\nContent-Length: 6\r\n", body: "hello!"),
        fields("the same length twice", "Content-Length: 5\r\nContent-Length: 5\r\n", body: "hello"),
        fields("a list of lengths", "Content-Length: 5, 5\r\n", body: "hello"),
        fields("plus sign", "Content-Length: +5\r\n", body: "hello"),
        fields("minus sign", "Content-Length: -5\r\n"),
        fields("hexadecimal length", "Content-Length: 0x5\r\n", body: "hello"),
        fields("empty length", "Content-Length: \r\n"),
        fields("length with a space", "Content-Length: 1 0\r\n", body: "hello"),
        fields("length beyond 64 bits", "Content-Length: 99999999999999999999\r\n"),
        fields("fraction", "Content-Length: 5.0\r\n", body: "hello"),
    ]

    static let encodings: [HostileRequest] = [
        fields("xchunked", "Transfer-Encoding: xchunked\r\n", 501),
        fields("identity", "Transfer-Encoding: identity\r\n", 501),
        fields("gzip before chunked", "Transfer-Encoding: gzip, chunked\r\n", 501),
        fields("chunked before identity", "Transfer-Encoding: chunked, identity\r\n", 501),
        fields("quoted", "Transfer-Encoding: \"chunked\"\r\n", 501),
        fields("vertical tab", "Transfer-Encoding: \u{b}chunked\r\n"),
        fields("two encodings", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
        fields("chunked and identity", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"),
        HostileRequest(
            "chunks in http/1.0",
            "POST /iris/predict HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        fields("encoding named by connection", "Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n"),
        fields("length named by connection", "Connection: content-length\r\nContent-Length: 5\r\n", body: "hello"),
        fields("host named by connection", "Connection: host\r\n"),
    ]

    static let lines: [HostileRequest] = [
        fields("space before the colon", "Content-Length : 5\r\n", body: "hello"),
        fields("tab before the colon", "Transfer-Encoding\t: chunked\r\n"),
        fields("folded line", "X-A: 1\r\n Content-Length: 5\r\n"),
        fields("folded with a tab", "X-A: 1\r\n\tb\r\n"),
        fields("bare line feed", "X-A: 1\nContent-Length: 5\r\n"),
        fields("bare carriage return", "X-A: 1\rContent-Length: 5\r\n"),
        fields("NUL in a value", "X-A: 1\u{0}2\r\n"),
        fields("DEL in a value", "X-A: 1\u{7f}2\r\n"),
        fields("empty name", ": 1\r\n"),
        fields("no colon", "Nonsense\r\n"),
        fields("bracket in a name", "X[A]: 1\r\n"),
        fields("name outside ASCII", "X-\u{e9}: 1\r\n"),
        HostileRequest("line feeds only", "GET /iris/predict HTTP/1.1\nHost: a\n\n"),
        HostileRequest("leading space", " GET /iris/predict HTTP/1.1\r\nHost: a\r\n\r\n"),
        HostileRequest("leading empty line", "\r\nGET /iris/predict HTTP/1.1\r\nHost: a\r\n\r\n"),
        HostileRequest("two spaces", "GET  /iris/predict HTTP/1.1\r\nHost: a\r\n\r\n"),
        HostileRequest("space behind the version", "GET /iris/predict HTTP/1.1 \r\nHost: a\r\n\r\n"),
        HostileRequest("no version", "GET /iris/predict\r\nHost: a\r\n\r\n"),
        HostileRequest("lower-case version", "GET /iris/predict http/1.1\r\nHost: a\r\n\r\n"),
        HostileRequest("http/1.2", "GET /iris/predict HTTP/1.2\r\nHost: a\r\n\r\n", 505),
        HostileRequest("http/2.0", "GET /iris/predict HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        HostileRequest("http/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        HostileRequest("brace in the method", "GE{T /iris/predict HTTP/1.1\r\nHost: a\r\n\r\n"),
    ]

    static let targets: [HostileRequest] = [
        target("http://localhost/iris/predict"), target("*"), target("iris/predict"), target("//iris/predict"),
        target("/iris//predict"), target("/iris/../iris/predict"), target("/./iris/predict"), target("/iris/.."),
        target("/iris/%2e%2e/predict"), target("/iris%2fpredict"), target("/iris%2Fpredict"),
        target("/iris/predict%00"),
        target("/iris/predict%0d%0aX:1"), target("/iris\\predict"), target("/iris%5cpredict"), target("/iris/..;/x"),
        target("/iris/predict#x"), target("/iris/predict?a#x"), target("/iris/%"), target("/iris/%zz"),
        target("/iris/%252e%252e"), target("/iris/\u{e9}"),
        target("/iris/predict?" + String(repeating: "a", count: 9000), 414),
    ]

    static let hosts: [HostileRequest] = [
        HostileRequest("no host", "GET /iris/predict HTTP/1.1\r\n\r\n"),
        HostileRequest("two hosts", "GET /iris/predict HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
        HostileRequest("the same host twice", "GET /iris/predict HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n"),
        HostileRequest("host with a path", "GET /iris/predict HTTP/1.1\r\nHost: a/b\r\n\r\n"),
        HostileRequest("host with a user", "GET /iris/predict HTTP/1.1\r\nHost: a@b\r\n\r\n"),
        HostileRequest("list of hosts", "GET /iris/predict HTTP/1.1\r\nHost: a, b\r\n\r\n"),
        HostileRequest("empty host", "GET /iris/predict HTTP/1.1\r\nHost:\r\n\r\n"),
    ]

    static let others: [HostileRequest] = [
        fields("upgrade", "Connection: upgrade\r\nUpgrade: websocket\r\n", 501),
        fields("unknown expectation", "Expect: 200-ok\r\nContent-Length: 5\r\n", 417),
        HostileRequest("connect", "CONNECT /iris/predict HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        HostileRequest("trace", "TRACE /iris/predict HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        fields("too many fields", (0..<101).map { "X-\($0): 1\r\n" }.joined(), 431),
        fields("too large a field", "X-A: " + String(repeating: "a", count: 33 * 1024) + "\r\n", 431),
    ]
}
