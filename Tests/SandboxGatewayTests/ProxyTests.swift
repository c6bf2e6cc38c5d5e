import BerthTestSupport
import DeploymentCore
import Foundation
import Testing

@testable import SandboxGateway

@Suite struct ProxyTests {
    @Test func oneConnectionCarriesManyRequests() async throws {
        try await withWorld { world in
            let port = world.port
            try await onThread {
                let wire = try Wire(port: port)
                defer { wire.close() }
                for index in 0..<20 {
                    let answer = try wire.exchange(request("POST", "/\(index)", body: "hello"))
                    #expect(answer.text.hasPrefix("one:8000\nPOST /\(index)\n") && answer.text.hasSuffix("\nhello"))
                    #expect(answer.field("connection") == nil)
                }
                let last = try wire.exchange(request(fields: "Connection: close\r\n"))
                #expect(last.field("connection") == "close")
                #expect(wire.isAtEnd())
            }
        }
    }

    @Test func thePathGoesOnAsItCame() async throws {
        try await withWorld { world in
            let path = "/templates/team%2Fsnap1%3Adefault//a/../b?x=%20&y=+%zz"
            let seen = try await world.exchange(request("GET", path)).text
            #expect(seen.hasPrefix("one:8000\nGET \(path)\n"))
        }
    }

    @Test func fieldsOfTheConnectionStayHere() async throws {
        try await withWorld { world in
            let fields = """
                Connection: keep-alive, X-Private\r
                Keep-Alive: 5\r
                X-Private: 1\r
                Proxy-Authorization: secret\r
                TE: trailers\r
                E2b-Traffic-Access-Token: secret\r
                X-Access-Token: token\r
                X-Public: 2\r

                """
            let seen = try await world.exchange(request("GET", "/", fields: fields)).text
            #expect(seen.contains("x-public: 2\n") && seen.contains("x-access-token: token\n"))
            #expect(seen.contains("host: 8000-one.sbx.localhost\n") && seen.contains("connection: close\n"))
            for gone in ["x-private", "keep-alive", "proxy-auth", "te: ", "secret"] { #expect(!seen.contains(gone)) }
        }
    }

    @Test func theControlPlaneBelievesNothingThatOnlyAGatewayMaySay() async throws {
        try await withWorld { world in
            let fields =
                "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nForwarded: a\r\nE2b-Sandbox-Id: one\r\n"
            let seen = try await world.exchange(request(host: "api.sbx.localhost", fields: fields)).text
            #expect(seen.hasPrefix("control\n") && seen.contains("x-forwarded-proto: http\n"))
            for gone in ["x-forwarded-for", "https", "\nforwarded", "e2b-sandbox"] { #expect(!seen.contains(gone)) }
        }
    }

    @Test func chunksGoOnAsChunksBothWays() async throws {
        try await withWorld(script: { connection in
            guard let head = connection.readRequest(), head.headers["transfer-encoding"] == "chunked",
                let body = connection.readChunks()
            else { return }
            connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n")
            connection.send("\(String(body.count, radix: 16))\r\n")
            connection.send(body + Array("\r\n0\r\nX-Sum: 5\r\nSet-Cookie: a=b\r\n\r\n".utf8))
            connection.awaitClose()
        }) { world in
            let port = world.port
            try await onThread {
                let wire = try Wire(port: port)
                defer { wire.close() }
                try wire.send(request("POST", "/", fields: "Transfer-Encoding: chunked\r\n"))
                try wire.send("3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nHost: two\r\n\r\n")
                let head = try #require(try wire.read(through: "\r\n\r\n"))
                #expect(head.contains("200 OK") && head.lowercased().contains("transfer-encoding: chunked"))
                #expect(try wire.read(through: "X-Sum: 5\r\n\r\n") == "5\r\nabcde\r\n0\r\nX-Sum: 5\r\n\r\n")
            }
        }
    }

    @Test func anAnswerWithoutALengthEndsWithItsConnection() async throws {
        try await withWorld(script: { connection in
            _ = connection.readRequest()
            connection.send("HTTP/1.0 200 OK\r\n\r\nabc")
        }) { world in
            let answer = try await world.exchange(request())
            #expect(answer.field("transfer-encoding") == "chunked" && answer.text == "3\r\nabc\r\n0\r\n\r\n")
            let old = try await world.exchange("GET / HTTP/1.0\r\nHost: 8000-one.sbx.localhost\r\n\r\n")
            #expect(old.head.hasPrefix("HTTP/1.0 200") && old.field("connection") == "close" && old.text == "abc")
        }
    }

    @Test func anAnswerToHEADHasALengthAndNoBody() async throws {
        try await withWorld { world in
            let port = world.port
            try await onThread {
                let wire = try Wire(port: port)
                defer { wire.close() }
                let answer = try wire.exchange(request("HEAD"), hasBody: false)
                #expect(answer.status == 200 && answer.field("content-length") != nil)
                // The connection is in step.
                #expect(try wire.exchange(request("GET", "/next")).text.hasPrefix("one:8000\nGET /next\n"))
            }
        }
    }

    @Test func whoExpectsToContinueIsToldByThePort() async throws {
        try await withWorld(script: { connection in
            // Without a length yet: the body is not there.
            guard let head = connection.readHead(), head.contains("100-continue") else { return }
            connection.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
            guard connection.readBytes(5) == Array("hello".utf8) else { return }
            connection.send(ScriptedAnswer(200, "done"))
            connection.awaitClose()
        }) { world in
            let port = world.port
            try await onThread {
                let wire = try Wire(port: port)
                defer { wire.close() }
                try wire.send(request("POST", fields: "Expect: 100-continue\r\nContent-Length: 5\r\n"))
                #expect(try wire.read(through: "\r\n\r\n")?.hasPrefix("HTTP/1.1 100 Continue") == true)
                #expect(try wire.read(through: "\r\n\r\n")?.hasPrefix("HTTP/1.1 103 ") == true)
                try wire.send("hello")
                #expect(try wire.readMessage()?.text == "done")
            }
        }
    }

    @Test func theTokenOfTrafficIsAskedForEverywhereButAtTheAgent() async throws {
        try await withWorld { world in
            world.doors.change("one") { $0.token = "secret" }
            let shown = "E2b-Traffic-Access-Token: secret\r\n"
            for fields in [
                "", "E2b-Traffic-Access-Token: secre\r\n", "E2b-Traffic-Access-Token: secrets\r\n",
                "E2b-Traffic-Access-Token:\r\n", shown + shown,
            ] {
                let answer = try await world.exchange(request(fields: fields))
                #expect(answer.status == 403 && answer.text.contains("e2b-traffic-access-token"))
            }
            #expect(world.doors.connects.isEmpty)
            let opened = try await world.exchange(request(fields: shown))
            #expect(opened.text.hasPrefix("one:8000\n") && !opened.text.contains("secret"))
            let agent = try await world.exchange(request(host: "49983-one.sbx.localhost"))
            #expect(agent.text.hasPrefix("one:49983\n"))
        }
    }

    @Test func portsMaySeeAnotherHostAndTheAgentDoesNot() async throws {
        try await withWorld { world in
            world.doors.change("one") { $0.maskedHost = "localhost:${PORT}" }
            #expect(try await world.exchange(request()).text.contains("\nhost: localhost:8000\n"))
            let agent = try await world.exchange(request(host: "49983-one.sbx.localhost"))
            #expect(agent.text.contains("\nhost: 49983-one.sbx.localhost\n"))
        }
    }

    @Test func aSignedFileFindsItsSandbox() async throws {
        try await withWorld { world in
            world.doors.change("two") { $0.signature = "v1_a+b/c" }
            let target = "/files?path=%2Fa+b&username=user&signature=v1_a%2Bb%2Fc&signature_expiration=9"
            let answer = try await world.exchange(request("GET", target, host: "127.0.0.1:4980"))
            #expect(answer.text.hasPrefix("two:49983\nGET \(target)\n"))
            #expect(
                world.doors.signed == [
                    .init(isRead: true, path: "/a b", user: "user", signature: "v1_a+b/c", expiration: "9")
                ])
            let preflight = request(
                "OPTIONS", target, host: "127.0.0.1:4980", fields: "Access-Control-Request-Method: POST\r\n")
            #expect(try await world.exchange(preflight).text.hasPrefix("two:49983\nOPTIONS"))
            #expect(world.doors.signed.last?.isRead == false)
            let forged = try await world.exchange(request("GET", "/files?signature=v1_x", host: "localhost"))
            #expect(forged.status == 401 && forged.text == #"{"code":401,"message":"invalid signature"}"#)
            let doubled = try await world.exchange(request("GET", target + "&signature=x", host: "localhost"))
            #expect(doubled.status == 400)
            let unsigned = try await world.exchange(request("GET", "/files?path=a", host: "localhost"))
            #expect(unsigned.text.hasPrefix("control\n"))
        }
    }
}

extension ScriptedConnection {
    /// Reads a head and nothing behind it; nil once the peer is gone.
    func readHead() -> String? {
        var head: [UInt8] = []
        while !head.suffix(4).elementsEqual(Array("\r\n\r\n".utf8)) {
            guard let byte = readBytes(1) else { return nil }
            head += byte
        }
        return String(decoding: head, as: UTF8.self)
    }
}
