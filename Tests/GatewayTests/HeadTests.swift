import Testing

@testable import Gateway

/// A request head as the app would get it, or why it is refused.
private func rewrite(
    _ text: String, limits: GatewayLimits = GatewayLimits(), path: String = "/predict"
) throws(Refusal) -> (head: RequestHead, output: String)? {
    let input = Array(text.utf8)
    var memory = [UInt8](repeating: 0, count: 2 * input.count + RequestHead.overhead)
    var result: Swift.Result<(RequestHead, String)?, Refusal> = .success(nil)
    memory.withUnsafeMutableBytes { memory in
        do throws(Refusal) {
            let parsed = try RequestHead.parse(
                input.span, into: memory, limits: limits, forwarded: Array("X-Forwarded-For: 1.2.3.4\r\n".utf8))
            guard let parsed else { return }
            let start = parsed.writeRequestLine(input.span, path: Array(path.utf8), into: memory)
            result = .success((parsed, String(decoding: memory[start..<parsed.end], as: UTF8.self)))
        } catch {
            result = .failure(error)
        }
    }
    return try result.get()
}

private func answer(
    _ text: String, isHead: Bool = false, isVersion10: Bool = false
) throws(Refusal) -> (head: ResponseHead, output: String)? {
    let input = Array(text.utf8)
    var memory = [UInt8](repeating: 0, count: input.count + ResponseHead.overhead)
    var result: Swift.Result<(ResponseHead, String)?, Refusal> = .success(nil)
    memory.withUnsafeMutableBytes { memory in
        var output = HeadOutput(memory)
        do throws(Refusal) {
            let parsed = try ResponseHead.parse(
                input.span, into: &output, isHead: isHead, isVersion10: isVersion10, limits: GatewayLimits())
            guard let parsed else { return }
            result = .success((parsed, String(decoding: memory[..<parsed.end], as: UTF8.self)))
        } catch {
            result = .failure(error)
        }
    }
    return try result.get()
}

@Suite struct HeadTests {
    @Test(arguments: HostileRequest.all) func hostileRequestsAreRefused(_ request: HostileRequest) throws {
        let refusal = #expect(throws: Refusal.self) { try rewrite(request.bytes) }
        #expect(refusal?.status == request.status)
    }

    @Test(arguments: HostileRequest.all) func hostileRequestsAreRefusedInDrips(_ request: HostileRequest) throws {
        // However the bytes are cut, a prefix is incomplete or refused, and never accepted.
        let text = request.bytes
        guard text.utf8.count < 400 else { return }
        for length in 0..<text.utf8.count {
            let prefix = String(decoding: Array(text.utf8)[..<length], as: UTF8.self)
            let accepted = try? rewrite(prefix)
            #expect(accepted == nil)
        }
    }

    @Test func aCompleteHeadIsRewritten() throws {
        let text = "POST /iris/predict?a=b HTTP/1.1\r\nHost: example:1\r\nX-A:  1 \r\nContent-Length: 5\r\n\r\nhello"
        let (head, output) = try #require(try rewrite(text))
        #expect(
            output == "POST /predict?a=b HTTP/1.1\r\nHost: example:1\r\nX-A:  1 \r\nContent-Length: 5\r\n"
                + "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Host: example:1\r\n\r\n")
        #expect(head.length == text.utf8.count - 5)
        #expect(head.framing == .length(5))
        #expect(head.keepsAlive)
    }

    @Test func everyPrefixOfAGoodHeadIsIncomplete() throws {
        let text = "POST /iris/predict HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
        for length in 0..<text.utf8.count {
            let prefix = String(decoding: Array(text.utf8)[..<length], as: UTF8.self)
            let head = try rewrite(prefix)
            #expect(head == nil)
        }
        #expect(try rewrite(text) != nil)
    }

    @Test(arguments: [
        "Keep-Alive: timeout=5", "TE: trailers", "Trailer: X", "Upgrade: h2c", "Proxy-Connection: close",
        "Proxy-Authorization: x", "X-Forwarded-For: 6.6.6.6", "x-forwarded-proto: https", "X-Forwarded-Host: evil",
        "Forwarded: for=6.6.6.6", "X-Berth-Revision: evil", "X_Forwarded_For: 6.6.6.6", "Content_Length: 7",
        "Connection: close", "Expect: 100-continue",
    ]) func fieldsOfOneHopAndForgedOnesAreLeftOut(_ field: String) throws {
        let (_, output) = try #require(
            try rewrite("GET /iris/info HTTP/1.1\r\nHost: a\r\n\(field)\r\nX-Kept: 1\r\n\r\n"))
        #expect(!output.contains(field))
        #expect(output.contains("X-Kept: 1\r\n"))
    }

    @Test func fieldsThatConnectionNamesAreLeftOut() throws {
        let (_, output) = try #require(
            try rewrite(
                "GET /iris/info HTTP/1.1\r\nX-Hop: 1\r\nHost: a\r\nConnection: close, X-HOP ,x-b\r\nX-B: 2\r\nX-C: 3\r\n\r\n"
            ))
        #expect(!output.contains("X-Hop") && !output.contains("X-B:") && !output.contains("Connection"))
        #expect(output.contains("X-C: 3\r\n"))
    }

    @Test func keepAliveFollowsVersionAndConnection() throws {
        func keeps(_ version: String, _ field: String) throws -> Bool? {
            try rewrite("GET /a/info HTTP/\(version)\r\nHost: a\r\n\(field)\r\n")?.head.keepsAlive
        }
        #expect(try keeps("1.1", "") == true)
        #expect(try keeps("1.1", "Connection: close\r\n") == false)
        #expect(try keeps("1.0", "") == false)
        #expect(try keeps("1.0", "Connection: Keep-Alive\r\n") == true)
        #expect(try keeps("1.0", "Connection: keep-alive, close\r\n") == false)
    }

    @Test func theAppsOwnQueryComesBeforeTheClients() throws {
        let rewritten = try rewrite("GET /a/info?x=1 HTTP/1.0\r\n\r\n", path: "/v1?key=2")
        #expect(rewritten?.output.hasPrefix("GET /v1?key=2&x=1 HTTP/1.1\r\n") == true)
        #expect(rewritten?.output.hasSuffix("Host: localhost\r\n\r\n") == true)
    }

    @Test func targetsAreSplit() throws {
        let cases: [(String, String, String, Bool, String)] = [
            ("/iris/predict", "iris", "predict", false, ""), ("/iris", "iris", "", false, ""), ("/", "", "", false, ""),
            ("/iris/", "iris", "", false, ""), ("/iris/predict/", "iris", "predict", true, ""),
            ("/iris/predict?x=/../", "iris", "predict", false, "?x=/../"), ("/a/b/c", "a", "b", true, ""),
            ("/a...b/.well-known", "a...b", ".well-known", false, ""), ("/?q", "", "", false, "?q"),
        ]
        for (text, name, action, hasMore, query) in cases {
            let bytes = Array(text.utf8)
            let target = try RequestTarget.parse(bytes.span, 0..<bytes.count)
            #expect(String(decoding: bytes[target.name], as: UTF8.self) == name)
            #expect(String(decoding: bytes[target.action], as: UTF8.self) == action)
            #expect(target.hasMore == hasMore)
            #expect(String(decoding: bytes[target.query], as: UTF8.self) == query)
        }
    }

    @Test func answerHeadsAreFramed() throws {
        func framing(_ text: String, isHead: Bool = false) throws -> BodyFraming.Kind? {
            try answer(text, isHead: isHead)?.head.framing
        }
        #expect(try framing("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n") == .length(3))
        #expect(try framing("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", isHead: true) == BodyFraming.Kind.none)
        #expect(try framing("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n") == .chunked)
        #expect(try framing("HTTP/1.1 200\r\n\r\n") == .untilEnd)
        #expect(try framing("HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n") == BodyFraming.Kind.none)
        #expect(try framing("HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n") == BodyFraming.Kind.none)
        #expect(try answer("HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n")?.output.contains("Length") == false)
        #expect(try answer("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\n")?.head.keepsAlive == false)
        #expect(try answer("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\n")?.output.hasPrefix("HTTP/1.1 200 OK") == true)
    }

    @Test(arguments: [
        "HTTP/1.1 99 X\r\n\r\n", "HTTP/1.1 600 X\r\n\r\n", "HTTP/1.1 101 Switching\r\n\r\n", "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 2x0 OK\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n", "ICY 200 OK\r\n\r\n\r\n\r\n",
        "HTTP/1.1 200 OK\nX: 1\r\n\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "HTTP/1.1 200 OK\r\nX: 1\r\n 2\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 200 OK\r\nX : 1\r\n\r\n",
    ]) func hostileAnswersAreRefused(_ text: String) {
        #expect(throws: Refusal.self) { try answer(text) }
    }
}
