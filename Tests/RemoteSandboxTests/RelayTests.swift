import BerthTestSupport
import CurlClient
import DeploymentCore
import Foundation
import Sandboxes
import Testing

@testable import RemoteSandbox

/// `connect(port:)`: a socket that speaks HTTP as if it were connected to the port.
@Suite struct RelayTests {
    private static func ask(_ near: Nearby, _ socket: Int32, _ request: HTTPRequest) async throws -> HTTPReply {
        var request = request
        request.transport = .connected(socket)
        return try await near.curl.send(request, limit: 32 << 20)
    }

    @Test func requestAndAnswerComeThrough() async throws {
        try await Nearby.with { near in
            near.far.set { request, connection in
                connection.send(
                    ScriptedAnswer(200, headers: [("X-Berth-Revision", "r1")], "\(request.method) \(request.path)"))
            }
            let made = try await near.provider.create(Nearby.specification())
            let reply = try await Self.ask(
                near, try await made.connect(port: 49_999),
                HTTPRequest(
                    method: "POST", url: "http://localhost/predict?x=1",
                    headers: [("Content-Type", "application/json"), ("E2b-Sandbox-Id", "other"), ("X-Own", "1")],
                    body: .bytes(Array("{}".utf8))))
            #expect(reply.status == 200)
            #expect(reply.headers["X-Berth-Revision"] == "r1")
            #expect(String(decoding: reply.body, as: UTF8.self) == "POST /predict?x=1")
            let seen = try #require(near.far.calls("POST", "/predict").first)
            #expect(seen.body == Array("{}".utf8))
            #expect(seen.request.headers["e2b-sandbox-port"] == "49999")
            #expect(seen.request.headers["e2b-sandbox-id"] == near.far.live.first)
            #expect(seen.request.headers["x-own"] == "1")
            // The agent's token is nothing for apps.
            #expect(seen.request.headers["x-access-token"] == nil)
        }
    }

    @Test func oneConnectionCarriesManyRequests() async throws {
        try await Nearby.with { near in
            near.far.set { request, connection in connection.send(ScriptedAnswer(200, request.path)) }
            let made = try await near.provider.create(Nearby.specification())
            let socket = try await made.connect(port: 49_999)
            defer { close(socket) }
            for path in ["/a", "/b", "/c"] {
                let text = "GET \(path) HTTP/1.1\r\nHost: x\r\n\r\n"
                #expect(send(socket, text, text.utf8.count, 0) == text.utf8.count)
                var answer = ""
                while !answer.hasSuffix("\r\n\r\n\(path)") {
                    let part = await Self.receive(socket)
                    try #require(!part.isEmpty)
                    answer += part
                }
                #expect(answer.hasPrefix("HTTP/1.1 200 "))
            }
            #expect(near.far.calls("OPTIONS", "/").count == 1)
        }
    }

    /// Off the threads that tasks share, since it waits.
    private static func receive(_ socket: Int32) async -> String {
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                var buffer = [UInt8](repeating: 0, count: 64 << 10)
                let count = recv(socket, &buffer, buffer.count, 0)
                continuation.resume(returning: String(decoding: buffer.prefix(max(0, count)), as: UTF8.self))
            }
        }
    }

    @Test func longBodiesAreStreamedBothWays() async throws {
        try await Nearby.with { near in
            let body = (0..<(2 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 31) }
            let back = (0..<(3 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 17) }
            near.far.set { _, connection in connection.send(ScriptedAnswer(200, headers: [], bytes: back)) }
            let made = try await near.provider.create(Nearby.specification())
            let reply = try await Self.ask(
                near, try await made.connect(port: 49_999),
                HTTPRequest(method: "POST", url: "http://localhost/big", body: .bytes(body)))
            #expect(reply.body == back)
            #expect(near.far.calls("POST", "/big").first?.body == body)
        }
    }

    @Test func closedPortIsRefusedAndAnOpenedOneIsSeen() async throws {
        try await Nearby.with { near in
            let made = try await near.provider.create(Nearby.specification())
            await #expect(throws: PortRefused.self) { try await made.connect(port: 49_999) }
            near.far.set { _, connection in connection.send(ScriptedAnswer(404)) }
            close(try await made.connect(port: 49_999))
        }
    }

    @Test func portThatClosesEndsTheConnectionAndIsRefusedThen() async throws {
        try await Nearby.with { near in
            near.far.set { _, connection in connection.send(ScriptedAnswer(200)) }
            let made = try await near.provider.create(Nearby.specification())
            let socket = try await made.connect(port: 49_999)
            near.far.set(port: nil)
            let error = await failure {
                try await Self.ask(near, socket, HTTPRequest(url: "http://localhost/health"))
            }
            #expect((error?.cause as? CurlError)?.isReset == true)
            await #expect(throws: PortRefused.self) { try await made.connect(port: 49_999) }
        }
    }

    @Test func sandboxThatIsGoneIsUnreachable() async throws {
        try await Nearby.with { near in
            near.far.set { _, connection in connection.send(ScriptedAnswer(200)) }
            let made = try await near.provider.create(Nearby.specification())
            near.far.remove(near.far.live[0])
            let error = await failure { try await made.connect(port: 49_999) }
            #expect(error?.code == .unreachable)
            #expect(error?.message.contains("was not found") == true)
        }
    }

    @Test func badGatewayOfTheAppIsTheAppsAnswer() async throws {
        try await Nearby.with { near in
            near.far.set { request, connection in
                connection.send(FarSide.json(502, ["message": "the port is not open, says my own upstream"]))
            }
            let made = try await near.provider.create(Nearby.specification())
            let reply = try await Self.ask(
                near, try await made.connect(port: 49_999), HTTPRequest(url: "http://localhost/"))
            #expect(reply.status == 502)
            #expect(String(decoding: reply.body, as: UTF8.self).contains("my own upstream"))
        }
    }

    @Test func headHasNoBodyAndEmptyAnswersStayEmpty() async throws {
        try await Nearby.with { near in
            near.far.set { request, connection in
                if request.method == "HEAD" {
                    connection.send("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n")
                } else {
                    connection.send("HTTP/1.1 204 No Content\r\n\r\n")
                }
            }
            let made = try await near.provider.create(Nearby.specification())
            let head = try await Self.ask(
                near, try await made.connect(port: 49_999), HTTPRequest(method: "HEAD", url: "http://localhost/"))
            #expect(head.status == 200)
            #expect(head.headers["Content-Length"] == "7")
            let empty = try await Self.ask(
                near, try await made.connect(port: 49_999), HTTPRequest(url: "http://localhost/"))
            #expect(empty.status == 204)
        }
    }

    @Test func clientThatLeavesEndsTheRequestBehindTheRelay() async throws {
        try await Nearby.with { near in
            let began = Locked<CheckedContinuation<Void, Never>?>(nil)
            let ended = Locked<Bool>(false)
            near.far.set { request, connection in
                guard request.method == "GET" else {
                    connection.send(ScriptedAnswer(200))
                    return
                }
                began.withLock { $0 }?.resume()
                connection.awaitClose()
                ended.withLock { $0 = true }
            }
            let made = try await near.provider.create(Nearby.specification())
            let socket = try await made.connect(port: 49_999)
            await withCheckedContinuation { continuation in
                began.withLock { $0 = continuation }
                let text = "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"
                send(socket, text, text.utf8.count, 0)
            }
            close(socket)
            while !ended.withLock({ $0 }) { await Task.yield() }
        }
    }
}
