import BerthTestSupport
import DeploymentCore
import Glibc
import Testing
import Waiting

@testable import Gateway

@Suite struct FailureTests {
    @Test func nonsenseFromTheAppIsABadGateway() async throws {
        for said in [
            "nonsense nonsense nonsense\r\n\r\n", "HTTP/1.1 200 OK\r\nX : 1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX: " + String(repeating: "a", count: 40_000) + "\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\n\r\n", String(repeating: "HTTP/1.1 102 Wait\r\n\r\n", count: 17),
        ] {
            try await withGateway(ScriptedApp.saying(said)) { gateway, port, _ in
                try await onThread {
                    let wire = try Wire(port: port)
                    try wire.send(predict())
                    var answer = try wire.readMessage()
                    while let status = answer?.status, status < 200 { answer = try wire.readMessage() }
                    #expect(answer?.status == 502)
                    #expect(answer?.field("x-berth-revision") == "r1")
                }
                #expect(gateway.statistics("iris")?.upstreamErrors == 1)
            }
        }
    }

    @Test func aClosedAppIsABadGateway() async throws {
        try await withGateway({ wire, _ in _ = try wire.readMessage(isRequest: true) }) { gateway, port, _ in
            try await onThread {
                let wire = try Wire(port: port)
                #expect(try wire.exchange(predict()).status == 502)
                #expect(try wire.exchange(predict()).status == 502)
            }
            #expect(gateway.statistics("iris")?.retries == 0)
        }
    }

    @Test func aRefusedConnectionSaysWhenToTryAgain() async throws {
        try await withGateway { gateway, port, _ in
            gateway.publish("down", Upstream(revision: "r1") { throw WireError(what: "refused") })
            try await onThread {
                let answer = try Wire(port: port).exchange(predict(path: "/down/predict"))
                #expect(answer.status == 503 && answer.field("retry-after") == "1")
                #expect(answer.field("x-berth-revision") == "r1")
            }
        }
    }

    @Test func anAnswerThatBreaksOffNeverLooksComplete() async throws {
        let answers = [
            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nnonsense\r\n",
        ]
        for said in answers {
            try await withGateway(ScriptedApp.saying(said, thenCloses: true)) { gateway, port, _ in
                try await onThread {
                    let wire = try Wire(port: port)
                    try wire.send(predict())
                    #expect(throws: WireError.self) {
                        guard let message = try wire.readMessage() else { throw WireError(what: "ended") }
                        if message.text.hasSuffix("0\r\n\r\n") { return }
                        throw WireError(what: "incomplete")
                    }
                    // Without a delimiter only a reset can say it.
                    if said.contains("chunked") {
                        let old = try Wire(port: port)
                        try old.send("GET /iris/info HTTP/1.0\r\n\r\n")
                        #expect(throws: WireError.self) { try old.readToEnd() }
                    }
                }
                #expect((gateway.statistics("iris")?.upstreamErrors ?? 0) >= 1)
            }
        }
    }

    @Test func aStaleConnectionIsReplacedWithoutTheClientNoticing() async throws {
        // Every connection answers once and ends when the second request comes.
        let script: ScriptedApp.Script = { wire, _ in
            _ = try wire.readMessage(isRequest: true)
            try wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            _ = try wire.read(through: "\r\n\r\n")
        }
        try await withGateway(script) { gateway, port, app in
            try await onThread {
                let wire = try Wire(port: port)
                for _ in 0..<5 { #expect(try wire.exchange(predict("{\"x\":1}")).text == "ok") }
            }
            #expect(app.connections == 5)
            #expect(gateway.statistics("iris")?.retries == 4)
            #expect(gateway.statistics("iris")?.upstreamErrors == 0)
        }
    }

    @Test func bytesOnAnUnusedConnectionPoisonIt() async throws {
        let isAnswered = Latch()
        let isClosed = Latch()
        let script: ScriptedApp.Script = { wire, connection in
            while try wire.readMessage(isRequest: true) != nil {
                try wire.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n\(connection)")
                if connection == 0 {
                    // Said once the answer is out and the connection is put away: it has to be closed for it.
                    isAnswered.wait()
                    try wire.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nX")
                    if wire.isAtEnd() { isClosed.set() }
                    return
                }
            }
        }
        try await withGateway(script) { _, port, _ in
            try await onThread {
                let wire = try Wire(port: port)
                #expect(try wire.exchange(predict()).text == "0")
                isAnswered.set()
                #expect(isClosed.wait())
                #expect(try wire.exchange(predict()).text == "1")
            }
        }
    }

    @Test func aSlowAppIsATimeout() async throws {
        let isDone = Latch()
        let script: ScriptedApp.Script = { wire, _ in
            _ = try wire.readMessage(isRequest: true)
            #expect(wire.isAtEnd())
            isDone.set()
        }
        try await withGateway(script, timeout: .milliseconds(50)) { gateway, port, _ in
            try await onThread {
                let answer = try Wire(port: port).exchange(predict())
                #expect(answer.status == 504 && answer.field("x-berth-revision") == "r1")
                #expect(isDone.wait())
            }
            #expect(try await settledStatistics(gateway).statuses[5] == 1)
        }
    }

    @Test func aClientThatLeavesCancelsTheApp() async throws {
        let hasRequest = Latch()
        let isCancelled = Latch()
        let script: ScriptedApp.Script = { wire, _ in
            _ = try wire.readMessage(isRequest: true)
            hasRequest.set()
            if wire.isAtEnd() { isCancelled.set() }
        }
        try await withGateway(script) { gateway, port, _ in
            try await onThread {
                let wire = try Wire(port: port)
                try wire.send(predict())
                #expect(hasRequest.wait())
                wire.close()
                #expect(isCancelled.wait())
            }
            let statistics = try await settledStatistics(gateway)
            #expect(statistics.statuses[0] == 1 && statistics.inFlight == 0)
        }
    }

    @Test func slowHeadsAndBodiesEnd() async throws {
        var limits = GatewayLimits.quick
        limits.headDeadline = .milliseconds(30)
        limits.bodyIdle = .milliseconds(30)
        try await withGateway(limits: limits) { _, port, _ in
            try await onThread {
                for start in ["GET /iris/he", "POST /iris/predict HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx"] {
                    let wire = try Wire(port: port)
                    try wire.send(start)
                    #expect(try wire.readMessage()?.status == 408)
                    #expect(wire.isAtEnd())
                }
            }
        }
    }

    @Test func unusedClientConnectionsEnd() async throws {
        var limits = GatewayLimits.quick
        limits.keepAliveIdle = .milliseconds(30)
        try await withGateway(limits: limits) { _, port, _ in
            try await onThread {
                let wire = try Wire(port: port)
                #expect(wire.isAtEnd())
            }
        }
    }

    @Test func bodiesBeyondTheMaximumAreRefused() async throws {
        try await withGateway(maximumBody: 10) { _, port, _ in
            try await onThread {
                #expect(try Wire(port: port).exchange(predict("0123456789")).status == 200)
                let refused = try Wire(port: port).exchange(predict("0123456789x"))
                #expect(refused.status == 413 && refused.field("connection") == "close")
                let chunked = "POST /iris/predict HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                #expect(try Wire(port: port).exchange(chunked + "b\r\n0123456789x\r\n0\r\n\r\n").status == 413)
            }
        }
    }

    @Test func connectionsBeyondTheLimitAreTurnedAway() async throws {
        var limits = GatewayLimits.quick
        limits.connections = 2
        try await withGateway(limits: limits) { _, port, _ in
            try await onThread {
                let wires = [try Wire(port: port), try Wire(port: port)]
                for wire in wires { #expect(try wire.exchange(predict()).status == 200) }
                let answer = try Wire(port: port).readMessage()
                #expect(answer?.status == 503 && answer?.field("retry-after") == "1")
            }
        }
    }

    @Test func addressesBeyondTheirShareAreTurnedAway() {
        let count = ConnectionCount(limit: 10, perAddress: 2)
        #expect(count.enter("10.0.0.1") && count.enter("10.0.0.1"))
        #expect(!count.enter("10.0.0.1"))
        #expect(count.enter("10.0.0.2") && count.enter("127.0.0.1") && count.enter("127.0.0.1"))
        #expect(count.enter("127.0.0.1"))
        for _ in 0..<2 { count.leave("10.0.0.1") }
        #expect(count.enter("10.0.0.1"))
    }

    @Test func aTakenPortIsNamed() async throws {
        try await withGateway { _, port, _ in
            let error = await #expect(throws: BerthError.self) {
                _ = try await Gateway(configuration: .init(port: port)).start()
            }
            #expect(error?.code == .conflict)
            #expect(error?.message.contains("port \(port) is already taken") == true)
            #expect(error?.suggestion != nil)
        }
    }
}
