import BerthTestSupport
import DeploymentCore
import Foundation
import Testing

@testable import Gateway

/// Routes whose app rests: who is answered at once, who waits, and what is counted as a use.
@Suite struct RestingTests {
    private static let health: JSONValue = ["status": "asleep"]

    @Test func healthIsAnsweredWithoutTheApp() async throws {
        try await withGateway { gateway, port, app in
            var upstream = app.upstream("r2")
            upstream.restingHealth = Self.health
            gateway.publish("iris", upstream)
            try await onThread {
                let wire = try Wire(port: port)
                for request in [
                    "GET /iris/health HTTP/1.1\r\nHost: a\r\n\r\n",
                    "POST /iris/health HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}",
                ] {
                    let answer = try wire.exchange(request)
                    #expect(answer.status == 200)
                    #expect(answer.text == #"{"status":"asleep"}"#)
                    #expect(answer.field("content-type") == "application/json")
                    #expect(answer.field("x-berth-revision") == "r2")
                    #expect(answer.field("retry-after") == nil)
                }
                #expect(app.connections == 0)
                // The connection goes on, and everything else asks the app.
                #expect(try wire.exchange(predict()).status == 200)
                #expect(app.connections == 1)
            }
            let statistics = try await settledStatistics(gateway)
            #expect(statistics.requests == 3)
            #expect(statistics.uses == 1)
            #expect(statistics.usesInFlight == 0)
            #expect(statistics.statuses[2] == 3)
        }
    }

    @Test func healthThatTheAppAnswersIsNoUseEither() async throws {
        try await withGateway { gateway, port, _ in
            try await onThread {
                let wire = try Wire(port: port)
                #expect(try wire.exchange("GET /iris/health HTTP/1.1\r\nHost: a\r\n\r\n").status == 200)
                #expect(try wire.exchange("GET /iris/info HTTP/1.1\r\nHost: a\r\n\r\n").status == 200)
                #expect(try wire.exchange("GET /iris/other HTTP/1.1\r\nHost: a\r\n\r\n").status == 404)
            }
            let statistics = try await settledStatistics(gateway)
            #expect(statistics.requests == 3)
            #expect(statistics.uses == 1)
            #expect(statistics.usesInFlight == 0)
        }
    }

    @Test func upstreamSaysWhyItIsNotAvailable() async throws {
        try await withGateway { gateway, port, _ in
            gateway.publish(
                "iris",
                Upstream(revision: "r1") {
                    throw RouteUnavailable(kind: "wake-failed", detail: "it is broken", retryAfter: 7)
                })
            try await onThread {
                let answer = try Wire(port: port).exchange(predict())
                #expect(answer.status == 503)
                #expect(answer.field("retry-after") == "7")
                #expect(answer.field("content-type") == "application/problem+json")
                let problem = try JSONValue(parsing: answer.body)
                #expect(problem["type"] == "urn:berth:problem:wake-failed")
                #expect(problem["detail"] == "it is broken")
                #expect(problem["success"] == false)
            }
        }
    }

    @Test func waitingForAConnectionHasALimitOfItsOwn() async throws {
        // Both limits are shorter than the wait: the app's timeout, and the gateway's for a connection.
        var limits = GatewayLimits.quick
        limits.connectDeadline = .milliseconds(20)
        try await withGateway(limits: limits) { gateway, port, app in
            let isLate = Latch()
            var patient = app.upstream(timeout: .milliseconds(20))
            let connect = patient.connect
            patient.connectDeadline = .seconds(20)
            patient.connect = {
                _ = try await onThread { isLate.wait() }
                return try await connect()
            }
            gateway.publish("iris", patient)
            gateway.publish(
                "hasty",
                Upstream(revision: "r1") {
                    try await Task.sleep(for: .seconds(3_600)); return -1
                })
            try await onThread {
                let wire = try Wire(port: port)
                try wire.send(predict())
                // By the time this one is given up, the limits of the other have passed as well.
                #expect(try Wire(port: port).exchange(predict(path: "/hasty/predict")).status == 504)
                isLate.set()
                #expect(try wire.readMessage()?.status == 200)
            }
        }
    }

    @Test func drainTellsWhetherSomethingRuns() async throws {
        let mayAnswer = Latch()
        let hasRequest = Latch()
        try await withGateway({ wire, _ in
            _ = try wire.readMessage(isRequest: true)
            hasRequest.set()
            mayAnswer.wait()
            try wire.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        }) { gateway, port, app in
            let idle = try #require(gateway.publish("iris", app.upstream("r2")))
            #expect(idle.isDrained)
            let wire = try Wire(port: port)
            try wire.send(predict())
            try await onThread { #expect(hasRequest.wait()) }
            let busy = try #require(gateway.publish("iris", app.upstream("r3")))
            #expect(!busy.isDrained)
            mayAnswer.set()
            #expect(await busy.wait(upTo: .seconds(20)))
            #expect(busy.isDrained)
        }
    }
}
