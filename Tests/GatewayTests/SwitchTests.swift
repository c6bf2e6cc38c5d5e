import BerthTestSupport
import DeploymentCore
import Glibc
import Testing

@testable import Gateway

@Suite struct SwitchTests {
    private static let swaps = 20
    private static let clients = 6

    /// Answers with its revision, as every rendered app does.
    private static func app(_ revision: Int) throws -> ScriptedApp {
        try ScriptedApp(ScriptedApp.saying("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\(10 + revision)"))
    }

    @Test func noRequestFailsWhileTheUpstreamIsSwapped() async throws {
        try await withGateway { gateway, port, _ in
            let isOver = Locked(false)
            var current = try Self.app(0)
            gateway.publish("iris", current.upstream("10"))
            try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<Self.clients {
                    group.addTask {
                        try await onThread {
                            let wire = try Wire(port: port)
                            var count = 0
                            while !isOver.withLock({ $0 }) {
                                let answer = try wire.exchange(predict())
                                guard answer.status == 200, answer.text == answer.field("x-berth-revision") else {
                                    throw WireError(what: "request \(count): \(answer.head)")
                                }
                                count += 1
                            }
                            return count
                        }
                    }
                }
                for swap in 1...Self.swaps {
                    let next = try Self.app(swap)
                    let drain = gateway.publish("iris", next.upstream("\(10 + swap)"))
                    #expect(await drain?.wait(upTo: .seconds(20)) == true)
                    // Whatever would still be sent to it now fails.
                    current.stop()
                    current = next
                    let text = try await onThread { try Wire(port: port).exchange(predict()).text }
                    #expect(text == "\(10 + swap)")
                }
                isOver.withLock { $0 = true }
                for try await count in group { #expect(count > Self.swaps) }
            }
            let statistics = try await settledStatistics(gateway)
            current.stop()
            #expect(statistics.inFlight == 0 && statistics.upstreamErrors == 0)
            #expect(statistics.statuses[2] == statistics.requests)
        }
    }

    @Test func aDrainWaitsForWhatRuns() async throws {
        let hasRequest = Latch()
        let mayAnswer = Latch()
        let script: ScriptedApp.Script = { wire, _ in
            _ = try wire.readMessage(isRequest: true)
            hasRequest.set()
            mayAnswer.wait()
            try wire.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold")
            #expect(wire.isAtEnd())
        }
        try await withGateway(script) { gateway, port, _ in
            let next = try Self.app(1)
            defer { next.stop() }
            let wire = try Wire(port: port)
            try wire.send(predict())
            try await onThread { #expect(hasRequest.wait()) }
            let drain = try #require(gateway.publish("iris", next.upstream("11")))
            async let isDrained = drain.wait(upTo: .seconds(20))
            try await onThread {
                // The new one serves while the old one still works.
                #expect(try Wire(port: port).exchange(predict()).text == "11")
                mayAnswer.set()
                let old = try wire.readMessage()
                #expect(old?.text == "old" && old?.field("x-berth-revision") == "r1")
                #expect(try wire.exchange(predict()).text == "11")
            }
            #expect(await isDrained)
        }
    }

    @Test func aDrainEndsWhatTakesTooLong() async throws {
        let script: ScriptedApp.Script = { wire, connection in
            while let request = try wire.readMessage(isRequest: true) {
                if request.text == "stream" {
                    try wire.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
                } else {
                    try wire.send("HTTP/1.1 102 Working\r\n\r\n")
                }
            }
        }
        try await withGateway(script) { gateway, port, _ in
            let (waiting, streaming) = try await onThread {
                let waiting = try Wire(port: port)
                try waiting.send(predict())
                #expect(try waiting.read(through: "\r\n\r\n")?.contains("102") == true)
                let streaming = try Wire(port: port)
                try streaming.send(predict("stream"))
                _ = try streaming.read(through: "a\r\n")
                return (waiting, streaming)
            }
            let drain = try #require(gateway.withdraw("iris"))
            #expect(await drain.wait(upTo: .milliseconds(20)) == false)
            try await onThread {
                let answer = try waiting.readMessage()
                #expect(answer?.status == 504 && answer?.text.contains("draining") == true)
                #expect(streaming.isAtEnd())
                #expect(try waiting.exchange(predict()).status == 404)
            }
        }
    }

    @Test func aRequestOnAStaleConnectionGoesToTheNewUpstream() async throws {
        let hasSecond = Latch()
        let mayEnd = Latch()
        let script: ScriptedApp.Script = { wire, _ in
            _ = try wire.readMessage(isRequest: true)
            try wire.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold")
            _ = try wire.readMessage(isRequest: true)
            hasSecond.set()
            mayEnd.wait()
        }
        try await withGateway(script) { gateway, port, app in
            let next = try Self.app(1)
            defer { next.stop() }
            try await onThread {
                let wire = try Wire(port: port)
                #expect(try wire.exchange(predict()).text == "old")
                try wire.send(predict())
                #expect(hasSecond.wait())
                gateway.publish("iris", next.upstream("11"))
                mayEnd.set()
                #expect(try wire.readMessage()?.text == "11")
            }
            #expect(app.connections == 1)
        }
    }

    @Test func stoppingLetsTheLastAnswerOut() async throws {
        let hasRequest = Latch()
        let mayAnswer = Latch()
        let script: ScriptedApp.Script = { wire, _ in
            _ = try wire.readMessage(isRequest: true)
            hasRequest.set()
            mayAnswer.wait()
            try wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        }
        try await withGateway(script) { gateway, port, _ in
            let wire = try Wire(port: port)
            // Connections go to the two event loops in turn.
            let idle = [try Wire(port: port), try Wire(port: port)]
            try wire.send(predict())
            try await onThread { #expect(hasRequest.wait()) }
            async let stopped: Void = gateway.stop(grace: .seconds(20))
            try await onThread {
                for wire in idle { #expect(wire.isAtEnd()) }
                #expect(throws: WireError.self) { try Wire(port: port) }
                mayAnswer.set()
                let answer = try wire.readMessage()
                #expect(answer?.text == "ok" && answer?.field("connection") == "close")
                #expect(wire.isAtEnd())
                wire.close()
            }
            await stopped
        }
    }

    @Test func stoppingEndsWhatIsLeft() async throws {
        let hasRequest = Latch()
        let script: ScriptedApp.Script = { wire, _ in
            _ = try wire.readMessage(isRequest: true)
            hasRequest.set()
            #expect(wire.isAtEnd())
        }
        try await withGateway(script) { gateway, port, _ in
            let wire = try Wire(port: port)
            try wire.send(predict())
            try await onThread { #expect(hasRequest.wait()) }
            await gateway.stop(grace: .zero)
            try await onThread {
                let answer = try wire.readMessage()
                #expect(answer?.status == 503)
                #expect(wire.isAtEnd())
            }
        }
    }
}
