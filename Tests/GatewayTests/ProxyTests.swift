import BerthTestSupport
import DeploymentCore
import Testing

@testable import Gateway

@Suite struct ProxyTests {
    @Test func aPredictionGoesToTheAppAndBack() async throws {
        try await withGateway { gateway, port, app in
            try await onThread {
                let wire = try Wire(port: port)
                for number in 0..<3 {
                    let answer = try wire.exchange(predict("{\"n\":\(number)}", path: "/iris/predict?q=1"))
                    #expect(answer.status == 200)
                    #expect(answer.field("x-berth-revision") == "r1")
                    #expect(answer.text.hasPrefix("POST /predict?q=1 HTTP/1.1\r\n"))
                    #expect(answer.text.hasSuffix("{\"n\":\(number)}"))
                    #expect(answer.text.contains("X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\n"))
                    #expect(answer.text.contains("X-Forwarded-Host: localhost\r\n"))
                }
            }
            // One connection served all.
            #expect(app.connections == 1)
            let statistics = try await settledStatistics(gateway)
            #expect(statistics.requests == 3 && statistics.inFlight == 0)
            #expect(statistics.statuses == [0, 0, 3, 0, 0, 0])
        }
    }

    @Test func hostileRequestsNeverReachTheApp() async throws {
        try await withGateway { _, port, app in
            try await onThread {
                for request in HostileRequest.all {
                    let wire = try Wire(port: port)
                    try wire.send(request.bytes)
                    let answer = try wire.readMessage(hasBody: !request.bytes.hasPrefix("HEAD"))
                    #expect(answer?.status == request.status, "\(request.name)")
                    #expect(answer?.field("content-type") == "application/problem+json")
                    #expect(answer?.field("connection") == "close")
                    #expect(answer?.text.contains("\"success\":false") == true)
                    #expect(wire.isAtEnd(), "\(request.name)")
                }
            }
            #expect(app.connections == 0)
        }
    }

    @Test func anUnexposedNameTellsItsStage() async throws {
        try await withGateway { gateway, port, _ in
            gateway.announce("wine", stage: "health")
            try await onThread {
                let wire = try Wire(port: port)
                let early = try wire.exchange(predict(path: "/wine/predict"))
                #expect(early.status == 404)
                let body = try JSONValue(parsing: early.body)
                #expect(body["title"] == "not exposed yet")
                #expect(body["detail"] == "deployment wine is in stage health")
                #expect(body["stage"] == "health" && body["status"] == 404 && body["success"] == false)
                gateway.announce("wine", stage: nil)
                let unknown = try wire.exchange(predict(path: "/wine/predict"))
                #expect(unknown.status == 404 && !unknown.text.contains("wine"))
                let root = try wire.exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                #expect(root.status == 404 && !root.text.contains("iris"))
                let other = try wire.exchange("GET /iris/docs HTTP/1.1\r\nHost: a\r\n\r\n")
                #expect(other.status == 404 && other.text.contains("/iris/health"))
                #expect(other.field("x-berth-revision") == "r1")
                // All on one connection, which still works.
                #expect(try wire.exchange(predict()).status == 200)
            }
        }
    }

    @Test func pathsAreTheAppsOwn() async throws {
        try await withGateway { gateway, port, app in
            let paths = Upstream.Paths(predict: "/v1/score?k=1", health: nil, info: "/a b\r\n")
            gateway.publish("wine", app.upstream("evil\r\nX-Evil: 1", paths: paths))
            try await onThread {
                let wire = try Wire(port: port)
                let answer = try wire.exchange(predict(path: "/wine/predict?q=2"))
                #expect(answer.text.hasPrefix("POST /v1/score?k=1&q=2 HTTP/1.1\r\n"))
                #expect(answer.field("x-berth-revision") == "evilX-Evil:1")
                #expect(try wire.exchange("GET /wine/health HTTP/1.1\r\nHost: a\r\n\r\n").status == 404)
                let info = try wire.exchange("GET /wine/info HTTP/1.1\r\nHost: a\r\n\r\n")
                #expect(info.text.hasPrefix("GET /a%20b%0D%0A HTTP/1.1\r\n"))
            }
        }
    }

    @Test func headAndOldClientsAreServed() async throws {
        try await withGateway { _, port, _ in
            try await onThread {
                let wire = try Wire(port: port)
                let head = try wire.exchange("HEAD /iris/health HTTP/1.1\r\nHost: a\r\n\r\n", hasBody: false)
                #expect(head.status == 200)
                let missing = try wire.exchange("HEAD /none/health HTTP/1.1\r\nHost: a\r\n\r\n", hasBody: false)
                #expect(missing.status == 404)
                let kept = try wire.exchange("GET /iris/health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
                #expect(kept.field("connection") == "keep-alive")
                let old = try wire.exchange("GET /iris/health HTTP/1.0\r\n\r\n")
                #expect(old.field("connection") == "close" && old.text.hasPrefix("GET /health HTTP/1.1"))
                #expect(wire.isAtEnd())
            }
        }
    }

    @Test func pipelinedRequestsAreAnsweredInTheirOrder() async throws {
        try await withGateway { _, port, _ in
            try await onThread {
                let wire = try Wire(port: port)
                let all = (0..<20).map { predict("\($0)", path: $0 % 3 == 2 ? "/none/predict" : "/iris/predict") }
                try wire.send(all.joined())
                for number in 0..<20 {
                    let answer = try wire.readMessage()
                    #expect(answer?.status == (number % 3 == 2 ? 404 : 200))
                    if number % 3 != 2 { #expect(answer?.text.hasSuffix("\r\n\r\n\(number)") == true) }
                }
            }
        }
    }

    @Test func aRequestInDripsIsPutTogether() async throws {
        try await withGateway { _, port, _ in
            try await onThread {
                let wire = try Wire(port: port)
                let request =
                    predict("", fields: "Transfer-Encoding: chunked\r\n")
                    .replacing("Content-Length: 0\r\n", with: "") + "5;x\r\nhello\r\n0\r\nX-T: 1\r\n\r\n"
                for byte in request.utf8 { try wire.send([byte]) }
                let answer = try wire.readMessage()
                #expect(answer?.status == 200)
                #expect(answer?.text.hasSuffix("\r\n\r\n5\r\nhello\r\n0\r\n\r\n") == true)
            }
        }
    }

    @Test func continueIsSaidByTheGateway() async throws {
        try await withGateway { _, port, _ in
            try await onThread {
                let wire = try Wire(port: port)
                try wire.send(
                    "POST /iris/predict HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
                #expect(try wire.read(through: "\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n")
                try wire.send("{}")
                let answer = try wire.readMessage()
                #expect(answer?.status == 200 && answer?.text.contains("Expect") == false)
            }
        }
    }

    @Test(arguments: [
        ("HTTP/1.1 204 No Content\r\n\r\n", false, "", true),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", false, "", true),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;e=1\r\nab\r\n0\r\nT: 1\r\n\r\n", false,
            "2\r\nab\r\n0\r\n\r\n", true
        ),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", false, "ab", true),
        ("HTTP/1.1 200 OK\r\nX-Berth-Revision: forged\r\nContent-Length: 2\r\n\r\nab", false, "ab", true),
        ("HTTP/1.1 200 OK\r\n\r\nto the end", true, "to the end", false),
        ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nab", true, "ab", true),
    ]) func answersAreFramed(_ said: String, _ thenCloses: Bool, _ body: String, _ keepsAlive: Bool) async throws {
        try await withGateway(ScriptedApp.saying(said, thenCloses: thenCloses)) { _, port, _ in
            try await onThread {
                let wire = try Wire(port: port)
                let answer = try wire.exchange(predict())
                #expect(answer.text == body)
                #expect(answer.field("x-berth-revision") == "r1")
                #expect(answer.field("connection") == (keepsAlive ? nil : "close"))
                if keepsAlive { #expect(try wire.exchange(predict()).text == body) } else { #expect(wire.isAtEnd()) }
            }
        }
    }

    @Test func anOldClientGetsNoChunks() async throws {
        let said = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        try await withGateway(ScriptedApp.saying(said)) { _, port, _ in
            try await onThread {
                let answer = try Wire(port: port).exchange("GET /iris/info HTTP/1.0\r\n\r\n")
                #expect(answer.text == "abcde" && answer.field("transfer-encoding") == nil)
            }
        }
    }

    @Test func earlyHintsPassToNewClientsOnly() async throws {
        let said = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        try await withGateway(ScriptedApp.saying(said)) { _, port, _ in
            try await onThread {
                let wire = try Wire(port: port)
                try wire.send(predict())
                #expect(try wire.read(through: "\r\n\r\n")?.hasPrefix("HTTP/1.1 103") == true)
                #expect(try wire.readMessage()?.status == 200)
                #expect(try Wire(port: port).exchange("GET /iris/info HTTP/1.0\r\n\r\n").status == 200)
            }
        }
    }
}
