import BerthTestSupport
import CurlClient
import DeploymentCore
import Sandboxes
import Testing

@testable import HealthProbing

@Suite(.timeLimit(.minutes(1)))
struct ProberTests {
    let prober = Prober(client: CurlClient())
    static let good = #"{"status":"healthy","model_loaded":true,"extra":1}"#

    private func probe(
        health: Manifest.Health = Manifest.Health(expect: Manifest.Health.renderedExpectation), nonce: String? = nil,
        tag: String? = nil, listeners: [Listener] = [], _ script: @escaping @Sendable (ScriptedConnection) -> Void
    ) async throws -> ProbeOutcome {
        let server = try ScriptedHTTPServer(script: script)
        defer { server.close() }
        return await prober.probe(ScriptedSandbox(server, listeners: listeners), health: health, nonce: nonce, tag: tag)
    }

    private func probe(
        answering answer: ScriptedAnswer,
        health: Manifest.Health = Manifest.Health(expect: Manifest.Health.renderedExpectation), nonce: String? = nil,
        tag: String? = nil, listeners: [Listener] = []
    ) async throws -> ProbeOutcome {
        try await probe(health: health, nonce: nonce, tag: tag, listeners: listeners) { $0.answerAll { _ in answer } }
    }

    @Test func theSixStatesAreDifferent() async throws {
        #expect(await prober.probe(ScriptedSandbox(), health: Manifest.Health(), nonce: nil) == .refused)
        #expect(try await probe { $0.reset() } == .reset)
        #expect(
            try await probe { connection in
                _ = connection.readRequest()
            } == .reset)
        let impatient = Manifest.Health(timeout: .milliseconds(50))
        #expect(try await probe(health: impatient) { $0.awaitClose() } == .silent)
        #expect(try await probe(answering: ScriptedAnswer(404, "no")) == .status(404, body: "no"))
        #expect(try await probe(answering: ScriptedAnswer(503, "wait")) == .status(503, body: "wait"))
        #expect(try await probe(answering: ScriptedAnswer(200, Self.good)) == .healthy)
    }

    @Test func anAnswerThatDripsIsSilence() async throws {
        let outcome = try await probe(health: Manifest.Health(timeout: .milliseconds(50))) { connection in
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
            connection.awaitClose()
        }
        #expect(outcome == .silent)
    }

    @Test func aRedirectIsNoHealth() async throws {
        let answer = ScriptedAnswer(302, headers: [("Location", "https://example.com/")])
        #expect(try await probe(answering: answer) == .status(302, body: ""))
    }

    @Test func theBodyMustContainWhatIsExpected() async throws {
        let loading = #"{"status":"healthy","model_loaded":false}"#
        #expect(
            try await probe(answering: ScriptedAnswer(200, loading))
                == .wrongBody("$.model_loaded: expected true, got false", body: loading))
        #expect(try await probe(answering: ScriptedAnswer(200, "OK")) == .wrongBody("the body is not JSON", body: "OK"))
        #expect(try await probe(answering: ScriptedAnswer(200, "OK"), health: Manifest.Health()) == .healthy)
        #expect(try await probe(answering: ScriptedAnswer(204), health: Manifest.Health()) == .healthy)
    }

    @Test func aHugeBodyIsCutAtTheCap() async throws {
        let endless: @Sendable (ScriptedConnection) -> Void = { connection in
            _ = connection.readRequest()
            connection.send("HTTP/1.1 200 OK\r\n\r\n")
            while connection.send([UInt8](repeating: 0x20, count: 1 << 16)) {}
        }
        guard case .wrongBody(let why, let body) = try await probe(endless) else {
            Issue.record("expected a wrong body")
            return
        }
        #expect(why == "the body is longer than 65536 bytes")
        #expect(body.utf8.count == 2048)
        #expect(try await probe(health: Manifest.Health(), endless) == .healthy)
    }

    @Test func whatIsNotHTTPIsAWrongBody() async throws {
        let outcome = try await probe { connection in
            _ = connection.readRequest()
            connection.send("SSH-2.0-OpenSSH_9.2\r\n")
        }
        #expect(outcome == .wrongBody("the answer is not HTTP", body: ""))
    }

    @Test func theAnswerMustCarryTheNonce() async throws {
        func outcome(_ revision: String?) async throws -> ProbeOutcome {
            let headers = revision.map { [("x-berth-revision", $0)] } ?? []
            return try await probe(answering: ScriptedAnswer(200, headers: headers, Self.good), nonce: "n1")
        }
        #expect(try await outcome("n1") == .healthy)
        #expect(try await outcome("n0") == .wrongRevision("n0"))
        #expect(try await outcome(nil) == .wrongRevision(nil))
        #expect(try await outcome("") == .wrongRevision(""))
    }

    @Test func anOwnAppMustHoldThePortItself() async throws {
        func outcome(_ listeners: [Listener], path: String? = "/health") async throws -> ProbeOutcome {
            try await probe(
                answering: ScriptedAnswer(), health: Manifest.Health(path: path), tag: "app", listeners: listeners)
        }
        let own = Listener(address: "127.0.0.1", port: 49_999, pid: 7, tag: "app")
        let stranger = Listener(address: "::", port: 49_999, pid: 8, tag: nil)
        let elsewhere = Listener(address: "127.0.0.1", port: 1, pid: 9, tag: nil)
        for path in ["/health", nil] {
            #expect(try await outcome([own, elsewhere], path: path) == .healthy)
            for wrong in [[stranger], [own, stranger], [elsewhere], []] {
                guard case .wrongListener = try await outcome(wrong, path: path) else {
                    Issue.record("expected a wrong listener")
                    continue
                }
            }
        }
    }

    @Test func theProbersOwnErrorIsNotTheApps() async throws {
        let sandbox = ScriptedSandbox()
        sandbox.fail(connecting: BerthError(.unreachable, "no agent"))
        #expect(
            await prober.probe(sandbox, health: Manifest.Health(), nonce: nil) == .proberError("no agent"))
        let server = try ScriptedHTTPServer { _ in ScriptedAnswer() }
        defer { server.close() }
        sandbox.fail(connecting: nil)
        sandbox.serve(server)
        sandbox.list(.failure(BerthError(.unreachable, "no list")))
        #expect(
            await prober.probe(sandbox, health: Manifest.Health(), nonce: nil, tag: "t") == .proberError("no list"))
    }

    @Test func headersAndPathAreSent() async throws {
        let seen = Locked<ScriptedRequest?>(nil)
        let server = try ScriptedHTTPServer { request in
            seen.withLock { $0 = request }
            return ScriptedAnswer()
        }
        defer { server.close() }
        let health = Manifest.Health(path: "/ready?x=1", headers: ["Authorization": "Bearer a"])
        #expect(await prober.probe(ScriptedSandbox(server), health: health, nonce: nil) == .healthy)
        let request = try #require(seen.withLock { $0 })
        #expect(request.path == "/ready?x=1")
        #expect(request.headers["authorization"] == "Bearer a")
        #expect(request.headers["host"] == "127.0.0.1:49999")
    }

    @Test func thresholdsAreThoseOfKubernetes() {
        typealias Verdict = ProbeOutcome.Verdict
        // Every sequence of 7 verdicts, against a plain reading of the rule.
        for success in 1...3 {
            for failure in 1...3 {
                for code in 0..<2187 {
                    var machine = ProbeStateMachine(
                        successThreshold: success, failureThreshold: failure, initially: .failing)
                    var rest = code
                    var known: [Verdict] = []
                    var expected = ProbeStateMachine.State.failing
                    for _ in 0..<7 {
                        let verdict = Verdict.allCases[rest % 3]
                        rest /= 3
                        let before = machine.state
                        let change = machine.handle(verdict)
                        if verdict != .unknown { known.append(verdict) }
                        if known.suffix(success) == ArraySlice(repeating: .success, count: success) {
                            expected = .passing
                        }
                        if known.suffix(failure) == ArraySlice(repeating: .failure, count: failure) {
                            expected = .failing
                        }
                        #expect(machine.state == expected)
                        #expect(change == (before == expected ? nil : expected))
                    }
                }
            }
        }
    }

    @Test func alternatingOutcomesNeverFlipTheState() {
        for state in [ProbeStateMachine.State.passing, .failing] {
            var machine = ProbeStateMachine(successThreshold: 2, failureThreshold: 2, initially: state)
            for round in 0..<100 { #expect(machine.handle(round % 2 == 0 ? .success : .failure) == nil) }
        }
    }
}
