import DeploymentCore
import Foundation
import Testing

@Suite struct ProtocolTests {
    private static let stream = "POST /process.Process/Start HTTP/1.1\r\nContent-Type: application/connect+json\r\n"
    private static let unary = "POST /process.Process/List HTTP/1.1\r\nContent-Type: application/json\r\n"

    @Test(arguments: [
        ("\r\n\r\n", 400), ("GET\r\n\r\n", 400), ("GET / HTTP/1.0\r\n\r\n", 505), ("GET x HTTP/1.1\r\n\r\n", 400),
        ("GET /health HTTP/1.1\r\nnocolon\r\n\r\n", 400), ("GET /health HTTP/1.1\r\na b: c\r\n\r\n", 400),
        ("POST /x HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        ("POST /x HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", 400),
        ("POST /x HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        ("POST /x HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        ("POST /x HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 501), ("\u{0}\u{1}\r\n\r\n", 400),
        (unary + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (unary + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}}\r\n", 400),
        ("GET /\(String(repeating: "x", count: 40_000))", 431),
    ])
    func malformedRequestIsAnsweredAndTheConnectionEnded(_ text: String, _ status: Int) async throws {
        try await withAgent { agent in
            let connection = try agent.connect()
            try connection.send(Data(text.utf8))
            #expect(try connection.readResponse().status == status)
            #expect((try? connection.receive())?.isEmpty ?? true)
        }
    }

    @Test(
        arguments: [
            ([], "invalid_argument"), ([0, 0, 0, 0], "invalid_argument"), ([0, 0, 0, 0, 1, 0x7B], "invalid_argument"),
            ([0, 0, 0, 0, 2, 0x7B, 0x7D], "invalid_argument"), ([2, 0, 0, 0, 2, 0x7B, 0x7D], "invalid_argument"),
            ([1, 0, 0, 0, 2, 0x7B, 0x7D], "unimplemented"), ([0, 255, 255, 255, 255], "resource_exhausted"),
            ([8, 0, 0, 0, 0], "invalid_argument"), ([0, 0, 0, 0, 2, 0x5B, 0x5D], "invalid_argument"),
        ] as [([UInt8], String)])
    func malformedFramesEndTheStreamWithAnError(_ body: [UInt8], _ code: String) async throws {
        try await withAgent { agent in
            let connection = try agent.connect()
            try connection.send(Data((Self.stream + "Content-Length: \(body.count)\r\n\r\n").utf8) + Data(body))
            #expect(try connection.readHead().status == 200)
            #expect(try connection.nextEvent() == .over(code))
            #expect(try connection.request("GET", "/health").status == 204)
        }
    }

    @Test func malformedCallsAreRefused() async throws {
        try await withAgent { agent in
            let connection = try agent.connect()
            let json = ["Content-Type": "application/json"]
            for body in ["{", "[]", "{\"process\":7}", "{\"process\":{}}", "{\"process\":{\"pid\":-1}}", "\u{ff}"] {
                let response = try connection.request(
                    "POST", "/process.Process/SendSignal", json, body: Data(body.utf8))
                #expect(response.status == 400)
                #expect(response.json["code"] == "invalid_argument")
            }
            #expect(try connection.request("POST", "/process.Process/List", body: Data("{}".utf8)).status == 415)
            #expect(try connection.request("POST", "/process.Process/None", json, body: Data("{}".utf8)).status == 404)
            #expect(try connection.request("GET", "/none").status == 404)
            #expect(try connection.request("DELETE", "/files").status == 405)
        }
    }

    @Test func bodyOverTheLimitIsRefusedAndTheConnectionStays() async throws {
        try await withAgent { agent in
            let connection = try agent.connect()
            let body = Data(repeating: 0x20, count: 5 << 20)
            let response = try connection.request(
                "POST", "/process.Process/List", ["Content-Type": "application/json"], body: body)
            #expect(response.status == 429)
            #expect(response.json["code"] == "resource_exhausted")
            #expect(try connection.request("GET", "/health").status == 204)
        }
    }

    @Test func foreignUserIsUnknown() async throws {
        try await withAgent(["--user", "me"]) { agent in
            let connection = try agent.connect()
            for (name, status) in [("me", 200), ("", 200), ("root", 401)] {
                let token = Data("\(name):".utf8).base64EncodedString()
                let headers = ["Content-Type": "application/json", "Authorization": "Basic \(token)"]
                let response = try connection.request("POST", "/process.Process/List", headers, body: Data("{}".utf8))
                #expect(response.status == status)
            }
        }
    }

    @Test func requestsInOneWriteAreAnsweredInOrder() async throws {
        try await withAgent { agent in
            let connection = try agent.connect()
            let pair = "GET /health HTTP/1.1\r\n\r\nGET /none HTTP/1.1\r\n\r\n"
            try connection.send(Data(String(repeating: pair, count: 2000).utf8))
            for _ in 0..<2000 {
                #expect(try connection.readResponse().status == 204)
                #expect(try connection.readResponse().status == 404)
            }
        }
    }

    @Test func requestMayArriveByteByByte() async throws {
        try await withAgent { agent in
            let connection = try agent.connect()
            let body = TestConnection.frame(["process": ["cmd": "true"]])
            let head = Self.stream + "Transfer-Encoding: chunked\r\n\r\n\(String(body.count, radix: 16))\r\n"
            for byte in Data(head.utf8) + body + Data("\r\n0\r\n\r\n".utf8) { try connection.send([byte]) }
            #expect(try connection.readHead().status == 200)
            #expect(try connection.rest().events.last == .over(nil))
        }
    }

    @Test func descriptorsAreGivenBack() async throws {
        try await withAgent(["--retention", "0"]) { agent in
            let control = try agent.connect()
            func round() throws {
                let connection = try agent.connect()
                try connection.request(
                    "POST", "/files?path=f", ["Content-Type": "application/octet-stream"], body: Data("x".utf8))
                try connection.request("GET", "/files?path=f")
                try connection.start("cat", tag: "t")
                try control.call("process.Process/CloseStdin", ["process": ["tag": "t"]])
                _ = try connection.rest()
                try connection.send(Data("GET /no".utf8))
            }
            try round()
            try control.request("GET", "/health")
            let before = agent.descriptorCount
            for _ in 0..<100 { try round() }
            for _ in 0..<500 { try agent.connect().request("GET", "/berth/none") }
            // An answer after the others' ends were sent: those have been seen by then.
            try control.request("GET", "/health")
            try control.request("GET", "/health")
            #expect(agent.descriptorCount <= before + 1)
        }
    }

    @Test func wrongArgumentsEndTheAgent() async throws {
        await #expect(throws: RunningAgent.Failure.self) {
            try await withAgent(["--nonsense", "x"]) { agent in try agent.connect().request("GET", "/health") }
        }
    }
}
