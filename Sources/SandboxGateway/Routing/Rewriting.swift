import E2BProtocol
import NIOHTTP1

/// What of a head goes on, and in which form.
enum Rewriting {
    /// Fields that end at each hop.
    private static let hopByHop: Set<String> = [
        "connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "te",
        "transfer-encoding", "upgrade", "http2-settings",
    ]

    /// Fields that a trailer must not bring in late.
    private static let neverTrailing: Set<String> = [
        "host", "content-length", "content-encoding", "content-type", "content-range", "trailer", "authorization",
        "cookie", "set-cookie", "expect", "cache-control", "x-access-token", "x-api-key", "e2b-sandbox-id",
        "e2b-sandbox-port", "e2b-traffic-access-token",
    ]

    /// The field that opens a sandbox's ports, which no app gets to see.
    static let trafficField = "e2b-traffic-access-token"

    /// What a request asks to become; nil when it asks for nothing that this gateway passes on.
    static func upgrade(_ head: HTTPRequestHead) -> String? {
        guard head.version == .http1_1, RequestCheck.connectionOptions(head.headers).contains("upgrade") else {
            return nil
        }
        let protocols = head.headers["upgrade"]
        guard protocols.count == 1, let text = protocols.first, !text.isEmpty else { return nil }
        let names = text.split(separator: ",").map { RequestCheck.trimmed($0).lowercased() }
        // HTTP/2 is spoken with us or not at all.
        return names.contains { $0.hasPrefix("h2") || $0.hasPrefix("http/") || $0.hasPrefix("tls/") } ? nil : text
    }

    /// A request as a port sees it.
    static func request(
        _ head: HTTPRequestHead, length: RequestCheck.Length, host: String?, hiding token: Bool
    ) -> HTTPRequestHead {
        let upgrade = upgrade(head)
        var headers = HTTPHeaders()
        headers.reserveCapacity(head.headers.count + 2)
        if let host { headers.add(name: "host", value: host) }
        let dropped = hopByHop.union(RequestCheck.connectionOptions(head.headers))
        var cookies: [String] = []
        for (name, value) in head.headers {
            let key = name.lowercased()
            if dropped.contains(key) || host != nil && key == "host" || token && key == trafficField { continue }
            if key == "cookie", head.version.major == 2 {
                cookies.append(value)
            } else {
                headers.add(name: name, value: value)
            }
        }
        // HTTP/2 may send each cookie in a field of its own, HTTP/1.1 may not.
        if !cookies.isEmpty { headers.add(name: "cookie", value: cookies.joined(separator: "; ")) }
        if length == .chunked { headers.add(name: "transfer-encoding", value: "chunked") }
        if let upgrade {
            headers.add(name: "upgrade", value: upgrade)
            headers.add(name: "connection", value: "upgrade")
        } else {
            headers.add(name: "connection", value: "close")
        }
        return HTTPRequestHead(version: .http1_1, method: head.method, uri: head.uri, headers: headers)
    }

    /// A request as the control plane sees it: what only a gateway may say, the client cannot.
    static func controlRequest(
        _ head: HTTPRequestHead, length: RequestCheck.Length, scheme: String
    ) -> HTTPRequestHead {
        var rewritten = request(head, length: length, host: nil, hiding: true)
        var headers = HTTPHeaders()
        headers.reserveCapacity(rewritten.headers.count + 1)
        for (name, value) in rewritten.headers {
            let key = name.lowercased()
            if key == "forwarded" || key.hasPrefix("x-forwarded-") || key.hasPrefix("e2b-sandbox-") { continue }
            headers.add(name: name, value: value)
        }
        headers.add(name: "X-Forwarded-Proto", value: scheme)
        rewritten.headers = headers
        return rewritten
    }

    /// How an answer's end is told to the client.
    enum AnswerFraming: Equatable {
        case length
        case chunked
        case end
        case noBody
    }

    /// An answer as the client sees it, without what it says about the connection.
    static func answer(
        _ head: HTTPResponseHead, to request: HTTPRequestHead
    ) -> (head: HTTPResponseHead, framing: AnswerFraming) {
        let dropped = hopByHop.union(RequestCheck.connectionOptions(head.headers))
        var headers = HTTPHeaders()
        headers.reserveCapacity(head.headers.count + 2)
        for (name, value) in head.headers where !dropped.contains(name.lowercased()) {
            headers.add(name: name, value: value)
        }
        let framing: AnswerFraming
        let status = head.status.code
        if status < 200 || status == 204 {
            headers.remove(name: "content-length")
            framing = .noBody
        } else if request.method == .HEAD || status == 304 {
            framing = .noBody
        } else if headers.contains(name: "content-length") {
            framing = .length
        } else {
            framing = request.version == .http1_1 ? .chunked : .end
        }
        if framing == .chunked { headers.add(name: "transfer-encoding", value: "chunked") }
        let version: HTTPVersion = request.version.major == 2 ? .http2 : request.version
        return (HTTPResponseHead(version: version, status: head.status, headers: headers), framing)
    }

    /// What of trailing fields goes on; nil when nothing does.
    static func trailers(_ trailers: HTTPHeaders?) -> HTTPHeaders? {
        guard let trailers else { return nil }
        var passed = HTTPHeaders()
        for (name, value) in trailers {
            let key = name.lowercased()
            guard !hopByHop.contains(key), !neverTrailing.contains(key), RequestCheck.isToken(name),
                value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 })
            else { continue }
            passed.add(name: name, value: value)
        }
        return passed.isEmpty ? nil : passed
    }
}
