import BerthTestSupport
import Glibc
import Testing

@testable import Gateway

@Suite struct StreamingTests {
    /// More than all socket buffers on the way hold together.
    private static let large = 96 * 1024 * 1024
    /// What the gateway may hold of one body: its high-water mark and what one round of reads adds.
    private static let buffered = 1024 * 1024
    private static let run = [UInt8](repeating: 120, count: 64 * 1024)

    @Test func aLargeUploadWaitsForTheApp() async throws {
        let isStuck = Latch()
        let script: ScriptedApp.Script = { wire, _ in
            while let head = try wire.read(through: "\r\n\r\n") {
                if head.contains("Content-Length: 2\r\n") {
                    try wire.skip(2)
                } else {
                    isStuck.wait()
                    try wire.skip(Self.large)
                }
                try wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            }
        }
        try await withGateway(script, maximumBody: Self.large) { gateway, port, app in
            try await onThread {
                let wire = try Wire(port: port)
                try wire.send("POST /iris/predict HTTP/1.1\r\nHost: a\r\nContent-Length: \(Self.large)\r\n\r\n")
                var sent = try wire.sendUntilStuck(Self.run, limit: Self.large)
                #expect(sent < Self.large)
                isStuck.set()
                while sent < Self.large {
                    let count = min(Self.run.count, Self.large - sent)
                    try wire.send(Array(Self.run[..<count]))
                    sent += count
                }
                #expect(try wire.readMessage()?.text == "ok")
                // The connection of the app is as good as new.
                #expect(try wire.exchange(predict()).text == "ok")
            }
            #expect(app.connections == 1)
            let largest = try #require(gateway.statistics("iris")?.largestBuffer)
            #expect(largest > 0 && largest < Self.buffered)
        }
    }

    @Test func aLargeDownloadWaitsForTheClient() async throws {
        let isStuck = Latch()
        let script: ScriptedApp.Script = { wire, _ in
            while let request = try wire.readMessage(isRequest: true) {
                guard request.text == "large" else {
                    try wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                    continue
                }
                try wire.send("HTTP/1.1 200 OK\r\nContent-Length: \(Self.large)\r\n\r\n")
                var sent = try wire.sendUntilStuck(Self.run, limit: Self.large)
                if sent < Self.large { isStuck.set() }
                while sent < Self.large {
                    let count = min(Self.run.count, Self.large - sent)
                    try wire.send(Array(Self.run[..<count]))
                    sent += count
                }
            }
        }
        try await withGateway(script) { gateway, port, app in
            try await onThread {
                let wire = try Wire(port: port)
                try wire.send(predict("large"))
                #expect(isStuck.wait())
                let head = try wire.read(through: "\r\n\r\n")
                #expect(head?.contains("Content-Length: \(Self.large)") == true)
                try wire.skip(Self.large)
                #expect(try wire.exchange(predict()).text == "ok")
            }
            #expect(app.connections == 1)
            let largest = try #require(gateway.statistics("iris")?.largestBuffer)
            #expect(largest > 0 && largest < Self.buffered)
        }
    }

    @Test func aReaderThatNeverReadsIsCutOff() async throws {
        var limits = GatewayLimits.quick
        limits.bodyIdle = .milliseconds(50)
        let isCut = Latch()
        let script: ScriptedApp.Script = { wire, _ in
            _ = try wire.readMessage(isRequest: true)
            try wire.send("HTTP/1.1 200 OK\r\nContent-Length: \(Self.large)\r\n\r\n")
            do {
                for _ in 0..<Self.large / Self.run.count { try wire.send(Self.run) }
            } catch {
                isCut.set()
            }
        }
        try await withGateway(script, limits: limits) { _, port, _ in
            try await onThread {
                let wire = try Wire(port: port)
                try wire.send(predict())
                #expect(isCut.wait())
                #expect(throws: WireError.self) { try wire.skip(Self.large) }
            }
        }
    }

    @Test func eventsArriveAsTheyAreSent() async throws {
        let received = (0..<3).map { _ in Latch() }
        let script: ScriptedApp.Script = { wire, _ in
            _ = try wire.readMessage(isRequest: true)
            try wire.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            for number in 0..<3 {
                try wire.send("b\r\ndata: \(number)ab\n\n\r\n")
                #expect(received[number].wait())
            }
            try wire.send("0\r\n\r\n")
        }
        try await withGateway(script) { _, port, _ in
            try await onThread {
                let wire = try Wire(port: port)
                try wire.send("GET /iris/info HTTP/1.1\r\nHost: a\r\n\r\n")
                #expect(try wire.read(through: "\r\n\r\n")?.contains("event-stream") == true)
                for number in 0..<3 {
                    #expect(try wire.read(through: "\n\n\r\n") == "b\r\ndata: \(number)ab\n\n\r\n")
                    received[number].set()
                }
                #expect(try wire.read(through: "0\r\n\r\n") == "0\r\n\r\n")
            }
        }
    }

    @Test func anAnswerBeforeTheBodyEndsTheConnection() async throws {
        let script: ScriptedApp.Script = { wire, _ in
            _ = try wire.read(through: "\r\n\r\n")
            try wire.send("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno")
            #expect(try wire.readToEnd().count < 1000)
        }
        try await withGateway(script) { _, port, _ in
            try await onThread {
                let wire = try Wire(port: port)
                try wire.send("POST /iris/predict HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nstart")
                let answer = try wire.readMessage()
                #expect(answer?.status == 401 && answer?.text == "no" && answer?.field("connection") == "close")
                #expect(wire.isAtEnd())
            }
        }
    }

    @Test func theAppMayBeBehindAUnixSocket() async throws {
        try await withGateway { gateway, port, _ in
            var sockets: [Int32] = [-1, -1]
            #expect(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &sockets) == 0)
            let (near, far) = (sockets[0], Wire(adopting: sockets[1]))
            gateway.publish("wine", Upstream(revision: "r2") { near })
            async let served: Void = onThread {
                for _ in 0..<2 {
                    _ = try far.readMessage(isRequest: true)
                    try far.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                }
            }
            try await onThread {
                let wire = try Wire(port: port)
                for _ in 0..<2 { #expect(try wire.exchange(predict(path: "/wine/predict")).text == "ok") }
            }
            try await served
        }
    }
}
