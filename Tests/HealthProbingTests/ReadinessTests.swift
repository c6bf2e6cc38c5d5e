import BerthTestSupport
import CurlClient
import DeploymentCore
import Sandboxes
import Testing

@testable import HealthProbing

@Suite(.timeLimit(.minutes(1)))
struct ReadinessTests {
    let clock = TestClock()
    let client = CurlClient()
    var prober: Prober { Prober(client: client, clock: clock) }
    static let own = Listener(address: "127.0.0.1", port: 49_999, pid: 7, tag: "app")

    /// What waiting ends with when the startup budget runs out after `outcomes` different outcomes.
    private func story(
        _ sandbox: ScriptedSandbox, health: Manifest.Health = Manifest.Health(), nonce: String? = nil,
        rendered: Bool = false
    ) async throws -> BerthError {
        let manifest = rendered ? Manifest(name: "m", health: health) : .own(health)
        async let failure = failure(of: sandbox, exit: neverExits, manifest: manifest, nonce: nonce)
        // The deadline, and the pause after the first probe.
        await clock.awaitSleepers(2)
        clock.advance(by: health.startupTimeout)
        return try await failure
    }

    private func failure(
        of sandbox: ScriptedSandbox, exit: @escaping @Sendable () async -> DeploymentCore.ExitStatus?,
        manifest: Manifest, nonce: String? = nil
    ) async throws -> BerthError {
        try await #require(throws: BerthError.self) {
            try await prober.waitUntilReady(sandbox, tag: "app", exit: exit, manifest: manifest, nonce: nonce)
        }
    }

    private func story(
        answering answer: ScriptedAnswer, health: Manifest.Health = Manifest.Health(), nonce: String? = nil,
        rendered: Bool = false, listeners: [Listener] = [ReadinessTests.own]
    ) async throws -> BerthError {
        let server = try ScriptedHTTPServer { _ in answer }
        defer { server.close() }
        return try await story(
            ScriptedSandbox(server, listeners: listeners), health: health, nonce: nonce, rendered: rendered)
    }

    @Test func aFastAppIsSeenAtOnce() async throws {
        let sandbox = ScriptedSandbox(listeners: [Self.own])
        let server = try ScriptedHTTPServer { _ in ScriptedAnswer() }
        defer { server.close() }
        let outcomes = Locked<[ProbeOutcome]>([])
        async let ready: Void = prober.waitUntilReady(
            sandbox, tag: "app", exit: neverExits, manifest: .own(), nonce: nil
        ) { outcome in outcomes.withLock { $0.append(outcome) } }
        for expected in [5, 10, 20, 40, 50, 50] {
            await clock.awaitSleepers(2)
            #expect(clock.pending.first == .milliseconds(expected))
            clock.advance(by: .milliseconds(expected))
        }
        await clock.awaitSleepers(2)
        sandbox.serve(server)
        clock.advance(by: .milliseconds(50))
        try await ready
        #expect(outcomes.withLock { $0 } == [.refused, .healthy])
        #expect(clock.pending.isEmpty)
    }

    @Test func anAnsweringAppIsAskedAtGrowingIntervals() async throws {
        let loading = Locked(true)
        let server = try ScriptedHTTPServer { _ in ScriptedAnswer(loading.withLock { $0 } ? 503 : 200) }
        defer { server.close() }
        let health = Manifest.Health(successThreshold: 2)
        let sandbox = ScriptedSandbox(server, listeners: [Self.own])
        async let ready: Void = prober.waitUntilReady(
            sandbox, tag: "app", exit: neverExits, manifest: .own(health), nonce: nil)
        var spent = Duration.zero
        var last = Duration.zero
        while spent < .seconds(30) {
            await clock.awaitSleepers(2)
            let interval = try #require(clock.pending.first)
            #expect(interval >= max(last, .milliseconds(5)) && interval <= .seconds(1))
            #expect(interval <= max(.milliseconds(50), spent / 20), "seen late by at most a twentieth")
            last = interval
            spent += interval
            clock.advance(by: interval)
        }
        #expect(last == .seconds(1))
        await clock.awaitSleepers(2)
        loading.withLock { $0 = false }
        clock.advance(by: .seconds(1))
        await clock.awaitSleepers(2)
        clock.advance(by: .seconds(1))
        try await ready
    }

    @Test(
        arguments: [
            (DeploymentCore.ExitStatus.exited(code: 3), "exit code 3", "last output"),
            (.exited(code: 0), "exit code 0", "foreground"),
            (.signalled(9), "signal 9 (killed)", "last output"), (nil, "unknown way", "last output"),
        ] as [(DeploymentCore.ExitStatus?, String, String)])
    func aCrashIsReportedAtOnce(status: DeploymentCore.ExitStatus?, how: String, suggestion: String) async throws {
        let exits = AsyncStream<DeploymentCore.ExitStatus?>.makeStream()
        let exit: @Sendable () async -> DeploymentCore.ExitStatus? = {
            var exits = exits.stream.makeAsyncIterator()
            return await exits.next() ?? nil
        }
        async let failure = failure(of: ScriptedSandbox(), exit: exit, manifest: .own())
        await clock.awaitSleepers(2)
        exits.continuation.yield(status)
        let error = try await failure
        #expect(error.code == .startFailed)
        #expect(error.message.contains(how))
        #expect(error.suggestion?.contains(suggestion) == true)
        #expect(clock.now.offset == .zero)
    }

    @Test func aCrashInterruptsAProbeThatHangs() async throws {
        let asked = AsyncStream<Void>.makeStream()
        let server = try ScriptedHTTPServer(script: { connection in
            _ = connection.readRequest()
            asked.continuation.yield()
            connection.awaitClose()
        })
        defer { server.close() }
        let exit: @Sendable () async -> DeploymentCore.ExitStatus? = {
            var asks = asked.stream.makeAsyncIterator()
            await asks.next()
            return .exited(code: 1)
        }
        let error = try await failure(
            of: ScriptedSandbox(server), exit: exit, manifest: .own(Manifest.Health(timeout: .seconds(1000))))
        #expect(error.code == .startFailed)
    }

    @Test func cancellationEndsTheWait() async throws {
        let task = Task {
            try await prober.waitUntilReady(
                ScriptedSandbox(), tag: "app", exit: neverExits, manifest: .own(), nonce: nil)
        }
        await clock.awaitSleepers(2)
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
    }

    @Test func theStoryOfNobodyListening() async throws {
        let error = try await story(ScriptedSandbox())
        #expect(error.code == .startFailed)
        #expect(error.message == "the app runs, but nothing listened on port 49999 within 120 s")
        #expect(error.suggestion?.contains("$PORT") == true)
    }

    @Test func theStoryOfListeningElsewhere() async throws {
        let elsewhere = Listener(address: "0.0.0.0", port: 8000, pid: 7, tag: "app")
        let error = try await story(ScriptedSandbox(listeners: [elsewhere]))
        #expect(error.code == .startFailed)
        #expect(error.message == "the app listens on 0.0.0.0:8000, not on port 49999")
        #expect(error.suggestion == "listen on $PORT, or set server.port: 8000")
        let outside = Listener(address: "10.0.0.7", port: 49_999, pid: 7, tag: "app")
        #expect(try await story(ScriptedSandbox(listeners: [outside])).message.contains("10.0.0.7:49999"))
        let stranger = Listener(address: "::", port: 22, pid: nil, tag: nil)
        #expect(try await story(ScriptedSandbox(listeners: [stranger])).message.contains("[::]:22"))
    }

    @Test func theStoryOfUnknownListeners() async throws {
        let sandbox = ScriptedSandbox()
        sandbox.list(.failure(BerthError(.unreachable, "no list")))
        #expect(try await story(sandbox).code == .startFailed)
    }

    @Test func theStoryOfSilence() async throws {
        let server = try ScriptedHTTPServer(script: { $0.awaitClose() })
        defer { server.close() }
        let error = try await story(ScriptedSandbox(server), health: Manifest.Health(timeout: .milliseconds(30)))
        #expect(error.code == .notHealthy)
        #expect(
            error.message.contains("accepts connections on port 49999 but does not answer GET /health within 30 ms"))
    }

    @Test func theStoryOfAReset() async throws {
        let server = try ScriptedHTTPServer(script: { $0.reset() })
        defer { server.close() }
        let error = try await story(ScriptedSandbox(server))
        #expect(error.code == .notHealthy && error.message.contains("closes each connection"))
    }

    @Test(arguments: [
        (404, "health.path: none"), (401, "health.headers"), (307, "redirect"), (503, "loading"), (500, "output"),
    ])
    func theStoryOfAWrongStatus(status: Int, suggestion: String) async throws {
        let error = try await story(answering: ScriptedAnswer(status, "so\u{1B}\nbad"))
        #expect(error.code == .notHealthy)
        #expect(error.message == "GET /health answers \(status): so  bad")
        #expect(error.suggestion?.contains(suggestion) == true)
    }

    @Test func theStoryOfAModelThatIsNotLoaded() async throws {
        let body = #"{"status":"healthy","model_loaded":false}"#
        let answer = ScriptedAnswer(200, headers: [("X-Berth-Revision", "n")], body)
        let error = try await story(answering: answer, nonce: "n", rendered: true)
        #expect(error.code == .notHealthy)
        #expect(error.message == "GET /health answers, but $.model_loaded: expected true, got false: \(body)")
    }

    @Test func theStoryOfAnotherRevision() async throws {
        let old = ScriptedAnswer(200, headers: [("X-Berth-Revision", "old")])
        #expect(try await story(answering: old, nonce: "new").message.contains("revision old"))
        #expect(try await story(answering: ScriptedAnswer(), nonce: "new").message.contains("X-Berth-Revision"))
    }

    @Test func theStoryOfAnotherProcess() async throws {
        let stranger = Listener(address: "127.0.0.1", port: 49_999, pid: 3, tag: nil)
        let error = try await story(answering: ScriptedAnswer(), listeners: [stranger])
        #expect(error.code == .notHealthy && error.message.contains("process 3"))
    }

    @Test func theStoryOfABlindProber() async throws {
        let sandbox = ScriptedSandbox()
        sandbox.fail(connecting: BerthError(.unreachable, "no agent"))
        #expect(try await story(sandbox).message.contains("no agent"))
    }

    @Test func anAppWithoutAHealthPathIsReadyWithItsPort() async throws {
        let server = try ScriptedHTTPServer(script: { $0.awaitClose() })
        defer { server.close() }
        try await prober.waitUntilReady(
            ScriptedSandbox(server, listeners: [Self.own]), tag: "app", exit: neverExits,
            manifest: .own(Manifest.Health(path: nil)), nonce: nil)
    }
}

@Suite(.timeLimit(.minutes(1)))
struct LivenessTests {
    let clock = TestClock()
    let client = CurlClient()

    @Test func onlyAStreakOfFailuresEndsTheWatch() async throws {
        let server = try ScriptedHTTPServer { _ in ScriptedAnswer() }
        defer { server.close() }
        let sandbox = ScriptedSandbox(server)
        let outcomes = Locked<[ProbeOutcome]>([])
        let watch = Task { [clock, client] in
            await LivenessProber(client: client).watch(
                sandbox, manifest: .own(), nonce: nil, clock: clock, jitter: 0.5
            ) { outcome in outcomes.withLock { $0.append(outcome) } }
        }
        await clock.awaitSleepers()
        #expect(clock.pending == [.seconds(5)])
        // Up, down, down, up, down, blind, down, down: only the last three failures are a streak.
        for step in ["up", "down", "down", "up", "down", "blind", "down", "down"] {
            await clock.awaitSleepers()
            sandbox.serve(step == "up" ? server : nil)
            sandbox.fail(connecting: step == "blind" ? BerthError(.unreachable, "no agent") : nil)
            clock.advance(by: .seconds(10))
        }
        #expect(await watch.value == .refused)
        #expect(outcomes.withLock { $0.count } == 8)
    }

    @Test func cancellationEndsTheWatch() async throws {
        let watch = Task { [clock, client] in
            await LivenessProber(client: client).watch(ScriptedSandbox(), manifest: .own(), nonce: nil, clock: clock)
        }
        await clock.awaitSleepers()
        watch.cancel()
        #expect(await watch.value == nil)
    }
}
