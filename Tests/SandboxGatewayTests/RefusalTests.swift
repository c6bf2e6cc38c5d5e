import BerthTestSupport
import DeploymentCore
import Foundation
import Testing

@testable import SandboxGateway

@Suite struct RefusalTests {
    @Test func aSandboxThatIsNotThereIsToldInTheWordsThatClientsKnow() async throws {
        try await withWorld { world in
            let answer = try await world.exchange(request(host: "8000-gone.sbx.localhost"))
            #expect(answer.status == 502 && answer.field("content-type") == "application/json")
            #expect(answer.text == #"{"code":502,"message":"The sandbox was not found","sandboxId":"gone"}"#)
        }
    }

    @Test func aPortThatNobodyListensOnIsTriedFiveTimes() async throws {
        try await withWorld { world in
            let answer = try await world.exchange(request(host: "81-one.sbx.localhost"))
            #expect(
                answer.text
                    == #"{"code":502,"message":"The sandbox is running but port is not open","port":81,"sandboxId":"one"}"#
            )
            #expect(world.doors.connects == Array(repeating: "one:81", count: 5))
        }
    }

    @Test(arguments: [
        (DoorRefusal.notFound, 502, "was not found"), (.transitioning, 409, "transitioning"),
        (.notPermitted, 403, "paused"), (.limited("20 sandboxes run"), 429, "20 sandboxes run"),
        (.failed("no memory"), 503, "no memory"),
    ])
    func everyRefusalHasItsStatus(_ refusal: DoorRefusal, _ status: Int, _ text: String) async throws {
        try await withWorld { world in
            world.doors.change("one") { $0.refusal = refusal }
            let answer = try await world.exchange(request())
            #expect(answer.status == status && answer.text.contains(text))
        }
    }

    @Test func peopleGetAPageAndScriptsDoNot() async throws {
        try await withWorld { world in
            world.doors.change("one") { $0.refusal = .limited("<b>20</b>") }
            let browser = "User-Agent: Mozilla/5.0 (X11)\r\n"
            let page = try await world.exchange(request(fields: browser + "Accept: text/html,*/*\r\n"))
            #expect(page.status == 429 && page.field("content-type") == "text/html; charset=utf-8")
            #expect(page.text.contains("&lt;b&gt;20&lt;/b&gt;"))
            for fields in [
                "", "User-Agent: curl/8\r\n", browser + "Accept: application/json\r\n",
                browser + "Sec-Fetch-Mode: cors\r\n", browser + "X-Requested-With: XMLHttpRequest\r\n",
            ] {
                let answer = try await world.exchange(request(fields: fields))
                #expect(answer.field("content-type") == "application/json")
            }
        }
    }

    @Test func aPortThatEndsWithoutAnAnswerIsTold() async throws {
        try await withWorld(script: { _ = $0.readRequest() }) { world in
            let answer = try await world.exchange(request())
            #expect(answer.status == 502 && answer.text.contains("ended without an answer"))
        }
    }

    @Test(arguments: [
        "nonsense\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
    ])
    func aPortThatDoesNotSpeakHTTPIsTold(_ nonsense: String) async throws {
        try await withWorld(script: { connection in
            _ = connection.readRequest()
            connection.send(nonsense)
            connection.awaitClose()
        }) { world in
            let answer = try await world.exchange(request())
            #expect(answer.status == 502 && answer.text.contains("not HTTP"))
        }
    }

    @Test func aPortThatSaysOneInterimAnswerAfterAnotherIsEnded() async throws {
        try await withWorld(script: { connection in
            _ = connection.readRequest()
            while connection.send("HTTP/1.1 102 Processing\r\n\r\n") {}
        }) { world in
            let answer = try await world.exchange("GET / HTTP/1.0\r\nHost: 8000-one.sbx.localhost\r\n\r\n")
            #expect(answer.status == 502)
        }
    }

    @Test func anAnswerThatBreaksOffIsSeenToBeBroken() async throws {
        try await withWorld(script: { connection in
            _ = connection.readRequest()
            connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        }) { world in
            let port = world.port
            try await onThread {
                let wire = try Wire(port: port)
                defer { wire.close() }
                try wire.send(request())
                #expect(throws: WireError(what: "recv: \(ECONNRESET)")) { try wire.readToEnd() }
            }
        }
    }

    @Test func withoutAControlPlaneThatIsToldAndSandboxesGoOn() async throws {
        try await withWorld(controlPlane: false) { world in
            let answer = try await world.exchange(request(host: "api.sbx.localhost"))
            #expect(answer.status == 503 && answer.text.contains("control plane"))
            #expect(try await world.exchange(request()).status == 200)
        }
    }

    @Test func aRefusalBehindABodyDoesNotCutItself() async throws {
        try await withWorld { world in
            let port = world.port
            try await onThread {
                let wire = try Wire(port: port)
                defer { wire.close() }
                let size = 4 * 1024 * 1024
                try wire.send(request("POST", host: "8000-gone.sbx.localhost", fields: "Content-Length: \(size)\r\n"))
                // It arrives whole, though the body is still on its way.
                try wire.send([UInt8](repeating: 0, count: size))
                let answer = try #require(try wire.readMessage())
                #expect(answer.status == 502 && answer.field("connection") == "close")
                #expect(wire.isAtEnd())
            }
        }
    }
}
