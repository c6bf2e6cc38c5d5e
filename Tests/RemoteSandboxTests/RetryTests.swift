import BerthTestSupport
import CurlClient
import DeploymentCore
import Testing

@testable import RemoteSandbox

@Suite struct RetryTests {
    /// status, Should-Retry, Retry-After, attempt → the wait in milliseconds; nil is no repetition.
    static let cases: [(Int, String?, String?, Int, Int?)] = [
        (429, nil, nil, 0, 100), (502, nil, nil, 1, 200), (503, nil, nil, 2, 400), (504, nil, nil, 0, 100),
        (500, nil, nil, 0, nil), (400, nil, nil, 0, nil), (404, nil, nil, 0, nil),
        (429, nil, nil, 3, nil), (429, "true", nil, 3, nil),
        (500, "true", nil, 0, 100), (400, "TRUE", nil, 0, 100),
        (429, "false", nil, 0, nil), (503, "no", "1", 0, nil), (503, "", nil, 0, nil),
        (429, nil, "7", 0, 7_000), (503, "true", "0", 0, 0),
        (429, nil, "1.5", 0, 100), (429, nil, "-1", 1, 200), (429, nil, "Wed, 21 Oct 2026 07:28:00 GMT", 0, 100),
    ]

    @Test(arguments: cases)
    func waitsAsTheOfficialClientsDo(
        _ status: Int, _ shouldRetry: String?, _ retryAfter: String?, _ attempt: Int, _ wait: Int?
    ) {
        let delay = E2BRetry.delay(
            status: status, shouldRetry: shouldRetry, retryAfter: retryAfter, attempt: attempt, jitter: 1)
        #expect(delay == wait.map { .milliseconds($0) })
    }

    @Test func ownWaitsGrowToTenSecondsAndAreHalvedAtMost() {
        #expect(E2BRetry.backOff(0, 0.5) == .milliseconds(50))
        #expect(E2BRetry.backOff(0, 0) == .milliseconds(50))
        #expect(E2BRetry.backOff(6, 1) == .milliseconds(6_400))
        #expect(E2BRetry.backOff(7, 1) == .seconds(10))
        #expect(E2BRetry.backOff(60, 1) == .seconds(10))
    }

    @Test func callIsRepeatedUntilItIsTaken() async throws {
        let clock = QuickClock()
        try await Nearby.with(clock) { near in
            near.far.answer([
                ScriptedAnswer(503), ScriptedAnswer(429, headers: [("Retry-After", "2")]),
                ScriptedAnswer(500, headers: [("Should-Retry", "true")]),
            ])
            let found = try await near.client.sandboxes()
            #expect(found.isEmpty)
            #expect(clock.waits == [.milliseconds(100), .seconds(2), .milliseconds(400)])
            #expect(near.far.calls("GET", "/v2/sandboxes").count == 4)
        }
    }

    @Test func callIsRepeatedThreeTimesAtMost() async throws {
        let clock = QuickClock()
        try await Nearby.with(clock) { near in
            near.far.answer(Array(repeating: FarSide.json(503, ["code": 503, "message": "full"]), count: 9))
            let error = await failure { try await near.client.sandboxes() }
            #expect(error?.code == .sandbox)
            #expect(error?.message == "E2B refuses to list sandboxes: full")
            #expect(clock.waits.count == 3)
        }
    }

    @Test func waitBeyondTheBudgetIsNotWaited() async throws {
        let clock = QuickClock()
        try await Nearby.with(clock) { near in
            near.far.answer([
                FarSide.json(
                    429, ["code": 429, "message": "maximum number of concurrent sandboxes reached (20)"],
                    headers: [("Retry-After", "90")])
            ])
            let error = await failure { try await near.client.sandboxes() }
            #expect(error?.code == .quota)
            #expect(error?.message.contains("sandboxes reached (20); it may be tried again in 90 s") == true)
            #expect(clock.waits.isEmpty)
        }
    }

    @Test func lostAnswerIsNotAskedForAgain() async throws {
        let clock = QuickClock()
        try await Nearby.with(clock) { near in
            near.far.set(.timeout, .losesReply)
            let error = await failure { try await near.client.setTimeout(of: "i1", to: 60) }
            #expect(error?.code == .unreachable)
            #expect(error?.leavesDoubt == true)
            #expect(clock.waits.isEmpty)
            #expect(near.far.calls("POST", "/sandboxes/i1/timeout").count == 1)
        }
    }

    @Test func connectionThatWasNeverMadeIsTriedAgain() async throws {
        let clock = QuickClock()
        let server = try FarSide()
        let url = server.url
        server.close()
        let curl = CurlClient()
        defer { curl.close() }
        let client = E2BClient(
            account: E2BAccount(key: FarSide.key, controlURL: url), curl: curl, clock: clock, jitter: { 1 })
        let error = await failure { try await client.sandboxes() }
        #expect(error?.code == .unreachable)
        #expect(error?.leavesDoubt == false)
        #expect(clock.waits == [.milliseconds(100), .milliseconds(200), .milliseconds(400)])
    }

    static let mappings: [(Int, BerthError.Code)] = [
        (401, .unauthorized), (403, .unauthorized), (404, .notFound), (409, .conflict), (429, .quota), (503, .sandbox),
        (400, .sandbox), (500, .sandbox),
    ]

    @Test(arguments: mappings)
    func refusalSaysWhatTheServiceSays(_ status: Int, _ code: BerthError.Code) async throws {
        try await Nearby.with { near in
            let body: JSONValue = [
                "code": .integer(Int64(status)), "message": .string("no, \(FarSide.key) may not"),
                "error_code": "some_kind",
            ]
            near.far.answer([FarSide.json(status, body, headers: [("Should-Retry", "false")])])
            let error = await failure { try await near.client.sandboxes() }
            #expect(error?.code == code)
            #expect(error?.message.contains("no, *** may not") == true)
            #expect("\(error.map(String.init(describing:)) ?? "")".contains("some_kind"))
            #expect(!"\(error.map(String.init(describing:)) ?? "")".contains(FarSide.key))
        }
    }

    @Test func answerThatIsNoJSONIsShownAsItIs() async throws {
        try await Nearby.with { near in
            near.far.answer([ScriptedAnswer(500, "<h1>\u{1B}[31mupset</h1>")])
            let error = await failure { try await near.client.sandboxes() }
            #expect(error?.message.contains("<h1>\u{FFFD}[31mupset</h1>") == true)
        }
    }
}
