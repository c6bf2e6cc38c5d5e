import BerthTestSupport
import CurlClient
import DeploymentCore
import Testing

@testable import HealthProbing

@Suite(.timeLimit(.minutes(1)))
struct SmokeTests {
    let client = CurlClient()
    let manifest = Manifest(name: "iris", predict: Manifest.Predict(path: "/v1/score"))

    private func run(
        _ test: SmokeTest, clock: any Clock<Duration> = ContinuousClock(), basePath: String? = nil,
        files: [String: [UInt8]] = [:], manifest: Manifest? = nil,
        _ script: @escaping @Sendable (ScriptedConnection) -> Void
    ) async throws -> SmokeResult {
        let server = try ScriptedHTTPServer(script: script)
        defer { server.close() }
        return await SmokeRunner(client: client, clock: clock).run(
            test, against: { .connected(try server.connect()) }, basePath: basePath,
            manifest: manifest ?? self.manifest,
            files: { path in
                guard let bytes = files[path] else { throw BerthError(.notFound, "no file \(path)") }
                return bytes
            })
    }

    @Test func aPredictionThatHoldsPasses() async throws {
        let seen = Locked<ScriptedRequest?>(nil)
        let test = SmokeTest(
            name: "setosa", request: .init(headers: ["X-A": "b"], body: .json(["input": [5.1, 3.5]])),
            expect: [.init(path: [.key("prediction"), .index(0)], matcher: .equals(0))], within: .seconds(20))
        let result = try await run(test) { connection in
            connection.answerAll { request in
                seen.withLock { $0 = request }
                return ScriptedAnswer(200, #"{"prediction":[0.0]}"#)
            }
        }
        #expect(result.passed && result.failures.isEmpty && result.status == 200)
        #expect(result.response == #"{"prediction":[0.0]}"#)
        #expect(result.duration > .zero)
        let request = try #require(seen.withLock { $0 })
        #expect(request.method == "POST" && request.path == "/v1/score")
        #expect(request.headers["content-type"] == "application/json" && request.headers["x-a"] == "b")
        #expect(String(decoding: request.body, as: UTF8.self) == #"{"input":[5.1,3.5]}"#)
    }

    @Test func everythingThatDoesNotHoldIsNamed() async throws {
        let test = SmokeTest(
            name: "a", request: .init(method: "GET"),
            expect: [
                .init(path: [.key("confidence")], matcher: .atLeast(0.9)),
                .init(path: [.key("label")], matcher: .exists),
            ], within: .zero)
        let result = try await run(test) { $0.answerAll { _ in ScriptedAnswer(500, #"{"confidence":0.42}"#) } }
        #expect(!result.passed)
        #expect(result.status == 500)
        #expect(
            result.failures.prefix(3) == [
                "expected status 200, got 500", "$.confidence: expected at least 0.9, got 0.42",
                "$.label: expected any value, but $ has only confidence",
            ])
        #expect(result.failures.last?.hasPrefix("expected an answer within 0 ms, got it after ") == true)
    }

    @Test func anAnswerThatIsNotJSONIsAFailureOnlyWhenJSONIsExpected() async throws {
        var test = SmokeTest(name: "a", request: .init())
        #expect(try await run(test) { $0.answerAll { _ in ScriptedAnswer(200, "OK") } }.passed)
        test.expect = [.init(path: [], matcher: .exists)]
        let result = try await run(test) { $0.answerAll { _ in ScriptedAnswer(200, "OK") } }
        #expect(result.failures == ["the answer is not JSON: expected a value at byte 0"])
    }

    @Test func noAnswerIsAFailure() async throws {
        let test = SmokeTest(name: "a", request: .init())
        let impatient = Manifest(name: "m", predict: Manifest.Predict(timeout: .milliseconds(40)))
        #expect(try await run(test, manifest: impatient) { $0.awaitClose() }.failures == ["no answer within 40 ms"])
        #expect(
            try await run(test) { $0.reset() }.failures == ["the connection was closed before the answer was whole"])
        let huge = try await run(test) { connection in
            connection.send("HTTP/1.1 200 OK\r\n\r\n")
            while connection.send([UInt8](repeating: 0, count: 1 << 20)) {}
        }
        #expect(huge.failures.first?.contains("is longer than 16777216 bytes") == true)
        let result = await SmokeRunner(client: client).run(
            test, against: { throw BerthError(.unreachable, "no way in") }, basePath: nil, manifest: manifest,
            files: { _ in [] })
        #expect(result.failures == ["no way in"] && !result.passed && result.status == nil)
    }

    @Test func aFormIsSentAsBrowsersDo() async throws {
        let seen = Locked<ScriptedRequest?>(nil)
        let test = SmokeTest(
            name: "a",
            request: .init(
                headers: ["content-type": "text/plain"],
                body: .form([
                    .init(name: "to\"p\r\n", value: .text("5")), .init(name: "image", value: .file("pictures/cat.PNG")),
                ])))
        let result = try await run(test, files: ["pictures/cat.PNG": [0, 13, 10, 255]]) { connection in
            connection.answerAll { request in
                seen.withLock { $0 = request }
                return ScriptedAnswer()
            }
        }
        #expect(result.passed)
        let request = try #require(seen.withLock { $0 })
        let type = try #require(request.headers["content-type"])
        #expect(type.hasPrefix("multipart/form-data; boundary=berth-"))
        let boundary = String(type.dropFirst("multipart/form-data; boundary=".count))
        let expected =
            Array("--\(boundary)\r\nContent-Disposition: form-data; name=\"to%22p%0D%0A\"\r\n\r\n5\r\n".utf8)
            + Array("--\(boundary)\r\nContent-Disposition: form-data; name=\"image\"; filename=\"cat.PNG\"\r\n".utf8)
            + Array("Content-Type: image/png\r\n\r\n".utf8) + [0, 13, 10, 255] + Array("\r\n--\(boundary)--\r\n".utf8)
        #expect(request.body == expected)
        #expect(MultipartForm.randomBoundary() != MultipartForm.randomBoundary())
    }

    @Test func aMissingFileIsAFailure() async throws {
        let test = SmokeTest(name: "a", request: .init(body: .form([.init(name: "f", value: .file("gone"))])))
        #expect(try await run(test) { $0.awaitClose() }.failures == ["no file gone"])
    }

    @Test func theGatewaysPathsAreThePublicOnes() {
        var manifest = manifest
        manifest.health.path = "/ping"
        manifest.predict.infoPath = "/about"
        func path(_ path: String?, _ base: String? = "/iris") -> String {
            SmokeRunner.path(of: SmokeTest(name: "a", request: .init(path: path)), basePath: base, manifest: manifest)
        }
        #expect(path(nil) == "/iris/predict")
        #expect(path("/v1/score") == "/iris/predict")
        #expect(path("/about") == "/iris/info")
        #expect(path("/ping") == "/iris/health")
        #expect(path("/other") == "/iris/other")
        #expect(path(nil, nil) == "/v1/score")
        #expect(path("/about", nil) == "/about")
    }
}

struct ExpectationEvaluatorTests {
    private func failure(_ matcher: SmokeTest.Matcher, _ value: JSONValue) -> String? {
        let expectation = SmokeTest.Expectation(path: [.key("v")], matcher: matcher)
        let failures = ExpectationEvaluator.failures(of: [expectation], in: ["v": value])
        return failures.first
    }

    @Test func numbersAreEqualByValue() {
        #expect(failure(.equals(1), 1.0) == nil)
        #expect(failure(.equals(1.0), 1) == nil)
        #expect(failure(.equals([1, ["a": 2.0]]), [1.0, ["a": 2]]) == nil)
        #expect(failure(.equals(.double(9_007_199_254_740_992)), .integer(9_007_199_254_740_993)) != nil)
        #expect(failure(.equals([0]), [1]) == "$.v: expected [0], got [1]")
        #expect(failure(.equals(1), "1") == "$.v: expected 1, got \"1\"")
        #expect(failure(.equals(1), true) == "$.v: expected 1, got true")
        #expect(failure(.equals(["a": 1]), ["a": 1, "b": 2]) != nil)
        #expect(failure(.equals(nil), nil) == nil)
    }

    @Test func nearNumbersAreComparedElementByElement() {
        #expect(failure(.approximately(0.5, tolerance: 0.01), 0.509) == nil)
        #expect(failure(.approximately(0.5, tolerance: 0.01), 0.7) == "$.v: expected 0.5 ± 0.01, got 0.7")
        #expect(failure(.approximately([[1, 2], [3]], tolerance: 0.1), [[1.05, 2], [2.95]]) == nil)
        #expect(
            failure(.approximately([[1, 2], [3]], tolerance: 0.1), [[1, 2], [4]])
                == "$.v[1][0]: expected 3 ± 0.1, got 4")
        #expect(failure(.approximately([1, 2], tolerance: 1), [1]) == "$.v: expected 2 elements, got 1")
        #expect(failure(.approximately([1], tolerance: 1), 1) == "$.v: expected 1 element, got the number 1")
        #expect(failure(.approximately(1, tolerance: 1), "1") == "$.v: expected a number near 1, got the string \"1\"")
        #expect(failure(.approximately(1, tolerance: 1), .double(.nan)) != nil)
    }

    @Test func boundsTakeScalarsOnly() {
        #expect(failure(.atLeast(0.9), 0.9) == nil)
        #expect(failure(.atLeast(0.9), 0.42) == "$.v: expected at least 0.9, got 0.42")
        #expect(failure(.atMost(3), 3) == nil)
        #expect(failure(.atMost(3), 4.5) == "$.v: expected at most 3, got 4.5")
        #expect(
            failure(.atLeast(0.9), [0.95]) == "$.v: expected at least 0.9, got the array [0.95]; its element is $.v[0]")
        #expect(failure(.atLeast(0.9), [1, 2]) == "$.v: expected at least 0.9, got the array [1,2]")
        #expect(failure(.atMost(1), "0") == "$.v: expected at most 1, got the string \"0\"")
        #expect(failure(.atLeast(0), .double(.nan)) != nil)
    }

    @Test func choicesExistenceAndLengths() {
        #expect(failure(.oneOf(["a", 1]), 1.0) == nil)
        #expect(failure(.oneOf(["a", 1]), "b") == "$.v: expected one of \"a\", 1, got \"b\"")
        #expect(failure(.exists, nil) == nil)
        #expect(failure(.length(2), [1, 2]) == nil)
        #expect(failure(.length(2), ["a": 1, "b": 2]) == nil)
        #expect(failure(.length(2), "äö") == nil)
        #expect(failure(.length(2), [1]) == "$.v: expected length 2, got length 1")
        #expect(failure(.length(2), 22) == "$.v: expected length 2, got the number 22")
    }

    @Test func pathsThatLeadNowhereSayWhereTheyEnd() {
        func failure(_ path: [SmokeTest.PathElement], _ value: JSONValue) -> String? {
            ExpectationEvaluator.failures(of: [.init(path: path, matcher: .equals(1))], in: value).first
        }
        #expect(failure([.key("a"), .index(0), .key("b c")], ["a": [["b c": 1]]]) == nil)
        #expect(failure([], 1) == nil)
        #expect(failure([.key("a")], ["b": 1, "c": 2]) == "$.a: expected 1, but $ has only b, c")
        #expect(failure([.key("a")], [:]) == "$.a: expected 1, but $ is an empty object")
        #expect(failure([.key("a"), .index(3)], ["a": [1]]) == "$.a[3]: expected 1, but $.a has 1 element")
        #expect(failure([.key("a"), .key("x y")], ["a": 5]) == "$.a[\"x y\"]: expected 1, but $.a is 5")
    }
}
