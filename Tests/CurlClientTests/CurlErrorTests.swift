import BerthTestSupport
import DeploymentCore
import Foundation
import Testing

@testable import CurlClient

@Suite(.timeLimit(.minutes(1)))
struct CurlErrorTests {
    let client = CurlClient()

    private func curlError(_ request: HTTPRequest) async throws -> (code: BerthError.Code, cause: CurlError) {
        let error = try await failure(client, request)
        return (error.code, try #require(error.cause as? CurlError))
    }

    @Test func aRefusedConnectionSaysSo() async throws {
        let server = try ScriptedHTTPServer { _ in ScriptedAnswer() }
        server.close()
        let (code, cause) = try await curlError(local(server))
        #expect(code == .unreachable)
        #expect(cause.isRefused && !cause.isReset && !cause.isTimeout)
    }

    @Test(arguments: ["", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"])
    func aLostConnectionIsAReset(sent: String) async throws {
        let server = try ScriptedHTTPServer(script: { connection in
            _ = connection.readRequest()
            connection.send(sent)
        })
        defer { server.close() }
        let (code, cause) = try await curlError(local(server))
        #expect(code == .unreachable)
        #expect(cause.isReset && !cause.isRefused && !cause.isTimeout)
    }

    @Test func aTCPResetIsAReset() async throws {
        let server = try ScriptedHTTPServer(script: { connection in
            _ = connection.readRequest()
            connection.reset()
        })
        defer { server.close() }
        #expect(try await curlError(local(server)).cause.isReset)
    }

    @Test(arguments: ["", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"])
    func silenceEndsAtTheTimeout(sent: String) async throws {
        let server = try ScriptedHTTPServer(script: { connection in
            _ = connection.readRequest()
            connection.send(sent)
            connection.awaitClose()
        })
        defer { server.close() }
        var request = local(server)
        request.timeout = .milliseconds(50)
        let (code, cause) = try await curlError(request)
        #expect(code == .timeout)
        #expect(cause.isTimeout && !cause.isReset && !cause.isRefused)
    }

    @Test func aBodyOverTheLimitIsTooLarge() async throws {
        let server = try ScriptedHTTPServer(script: { connection in
            while let request = connection.readRequest() {
                switch request.path {
                case "/announced": connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n")
                case "/chunked":
                    connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                    connection.send("3e9\r\n" + String(repeating: "a", count: 1001) + "\r\n0\r\n\r\n")
                default:
                    connection.send("HTTP/1.1 200 OK\r\n")
                    while connection.send("X: " + String(repeating: "a", count: 20_000) + "\r\n") {}
                }
            }
        })
        defer { server.close() }
        for path in ["/announced", "/chunked", "/head"] {
            #expect(try await failure(client, local(server, path), limit: 1000).code == .tooLarge)
        }
        #expect(
            try await client.withResponse(local(server, "/chunked")) { try await $0.body.collect(limit: 1001) }.count
                == 1001)
    }

    @Test(arguments: [
        "file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1/", "dict://127.0.0.1/", "", "x", "http://",
    ])
    func onlyHTTPIsSpoken(url: String) async throws {
        _ = try await failure(client, HTTPRequest(url: url, timeout: .seconds(5)))
    }

    @Test func requestsCannotBeSplit() async throws {
        for request in [
            HTTPRequest(url: "http://127.0.0.1/", headers: [("X", "a\r\nY: b")]),
            HTTPRequest(url: "http://127.0.0.1/", headers: [("X: a\r\nY", "b")]),
            HTTPRequest(url: "http://127.0.0.1/", headers: [("", "b")]),
            HTTPRequest(method: "GET / HTTP/1.1\r\nX:", url: "http://127.0.0.1/"),
            HTTPRequest(url: "http://127.0.0.1/ HTTP/1.1\r\nX: y"),
        ] {
            #expect(try await failure(client, request).code == .usage)
        }
    }

    @Test func errorsKeepSecretsOfTheURL() async throws {
        let error = try await failure(
            client, HTTPRequest(url: "http://user:hunter2@127.0.0.1:1/models/a?signature=hunter3"))
        #expect(error.message.contains("http://127.0.0.1:1/models/a"))
        #expect(!"\(error)".contains("hunter"))
    }

    @Test func redirectsAreFollowedOnlyWhenAskedFor() async throws {
        let other = try ScriptedHTTPServer { request in
            ScriptedAnswer(
                200, "\(request.headers["authorization"] ?? "none") \(request.headers["x-api-key"] ?? "none")")
        }
        let server = try ScriptedHTTPServer { request in
            switch request.path {
            case "/other": ScriptedAnswer(302, headers: [("Location", "\(other.url)/")])
            case "/same": ScriptedAnswer(307, headers: [("Location", "final")])
            case "/loop": ScriptedAnswer(301, headers: [("Location", "/loop")])
            case "/file": ScriptedAnswer(302, headers: [("Location", "file:///etc/hostname")])
            default: ScriptedAnswer(200, request.headers["authorization"] ?? "none")
            }
        }
        defer {
            server.close()
            other.close()
        }
        func get(_ path: String, redirects: Int, method: String = "GET") async throws -> (Int, String) {
            var request = local(server, path, method: method, headers: [("Authorization", "a"), ("X-Api-Key", "b")])
            request.redirects = redirects
            let reply = try await client.send(request)
            return (reply.status, String(decoding: reply.body, as: UTF8.self))
        }
        #expect(try await get("/same", redirects: 0) == (307, ""))
        #expect(try await get("/same", redirects: 1) == (200, "a"))
        #expect(try await get("/other", redirects: 1) == (200, "none none"))
        #expect(try await get("/loop", redirects: 3) == (301, ""))
        #expect(try await get("/same", redirects: 3, method: "POST") == (307, ""))
        #expect(try await get("/file", redirects: 1) == (302, ""))
    }

    @Test func redirectsMustLeadToHTTPSOutsideOfLoopback() {
        var request = HTTPRequest(url: "https://a.example/x")
        request.redirects = 2
        func target(_ location: String) -> String? {
            let answer = HTTPResponse(
                status: 302, headers: HTTPHeaders([("location", location)]),
                body: HTTPBody(transfer: Transfer.unsent))
            return request.redirected(by: answer)?.url
        }
        #expect(target("https://b.example/y") == "https://b.example/y")
        #expect(target("/y?z") == "https://a.example/y?z")
        #expect(target("http://b.example/y") == nil)
    }
}

extension Transfer {
    /// A transfer that nobody sends.
    static var unsent: Transfer {
        get {  // swift-format-ignore
            do { return try Transfer(HTTPRequest(url: "http://x/"), loop: CurlLoop()) } catch { fatalError("\(error)") }
        }
    }
}
