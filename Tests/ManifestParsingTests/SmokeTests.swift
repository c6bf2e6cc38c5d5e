import DeploymentCore
import ManifestParsing
import Testing

/// Smoke tests: requests, paths and matchers.
@Suite struct SmokeTests {
    private func expectations(_ expect: String) throws -> [SmokeTest.Expectation] {
        try accepted(iris("smoke: [{request: 1, expect: \(expect)}]")).manifest.smoke[0].expect
    }

    @Test func requestTakesEveryKey() throws {
        let test = try accepted(
            iris(
                """
                smoke:
                  - name: first
                    request: {input: [5.1, 3]}
                    method: PUT
                    path: /v2
                    headers: {X-A: 1}
                    expect: {ok: true}
                    status: 201
                    within: 250ms
                """)
        ).manifest.smoke[0]
        let request = SmokeTest.Request(
            method: "PUT", path: "/v2", headers: ["X-A": "1"], body: .json(["input": [5.1, 3]]))
        let ok = SmokeTest.Expectation(path: [.key("ok")], matcher: .equals(true))
        #expect(
            test == SmokeTest(name: "first", request: request, expect: [ok], status: 201, within: .milliseconds(250)))
    }

    @Test func methodFollowsTheBody() throws {
        let tests = try accepted(iris("smoke: [{}, {request: null}, {form: {a: 1}}]")).manifest.smoke
        #expect(tests.map(\.request.method) == ["GET", "POST", "POST"])
        #expect(tests.map(\.name) == ["test-1", "test-2", "test-3"])
        #expect(tests.map(\.request.body) == [.none, .json(nil), .form([.init(name: "a", value: .text("1"))])])
    }

    @Test func formKeepsItsOrder() throws {
        let test = try accepted(iris("smoke: [{form: {z: 0.50, file: '@img/cat.png', at: '@@x', a: yes}}]")).manifest
            .smoke[0]
        #expect(
            test.request.body
                == .form([
                    .init(name: "z", value: .text("0.50")), .init(name: "file", value: .file("img/cat.png")),
                    .init(name: "at", value: .text("@x")), .init(name: "a", value: .text("yes")),
                ]))
        #expect(refused(iris("smoke: [{form: {a: '@'}}]")).contains("must name a file behind '@'"))
        #expect(refused(iris("smoke: [{form: {a: [1]}}]")).contains("must be text, or '@' and a path, not a list"))
    }

    @Test func everyMatcherIsRead() throws {
        #expect(
            try expectations(
                """
                {a: 1, b: {approx: 0.5, tolerance: 0.1}, c: {approx: [[1, 2.5]]}, d: {at_least: 1}, e: {at_most: 2.5},
                f: {one_of: [1, x, null]}, g: {exists: true}, h: {length: 3}, i: [1, {j: null}], k: {x: 1}, l: text}
                """) == [
                    .init(path: [.key("a")], matcher: .equals(1)),
                    .init(path: [.key("b")], matcher: .approximately(0.5, tolerance: 0.1)),
                    .init(path: [.key("c")], matcher: .approximately([[1, 2.5]], tolerance: 1e-6)),
                    .init(path: [.key("d")], matcher: .atLeast(1)),
                    .init(path: [.key("e")], matcher: .atMost(2.5)),
                    .init(path: [.key("f")], matcher: .oneOf([1, "x", nil])),
                    .init(path: [.key("g")], matcher: .exists),
                    .init(path: [.key("h")], matcher: .length(3)),
                    .init(path: [.key("i")], matcher: .equals([1, ["j": nil]])),
                    .init(path: [.key("k")], matcher: .equals(["x": 1])),
                    .init(path: [.key("l")], matcher: .equals("text")),
                ])
    }

    @Test func rangeGivesTwoExpectations() throws {
        #expect(
            try expectations("{p: {at_most: 1, at_least: 0.5}}") == [
                .init(path: [.key("p")], matcher: .atLeast(0.5)), .init(path: [.key("p")], matcher: .atMost(1)),
            ])
    }

    @Test(
        arguments: [
            ("$", []), ("$.a", [.key("a")]), ("$.a[0].b", [.key("a"), .index(0), .key("b")]),
            ("$[2][3]", [.index(2), .index(3)]),
            ("$['a.b'].c", [.key("a.b"), .key("c")]), ("plain", [.key("plain")]), ("$.日本", [.key("日本")]),
        ] as [(String, [SmokeTest.PathElement])])
    func pathsAreRead(text: String, path: [SmokeTest.PathElement]) throws {
        #expect(try expectations("{\"\(text)\": 1}").map(\.path) == [path])
    }

    @Test(arguments: [
        "$a", "$.", "$..a", "$.a[", "$.a[x]", "$.a[-1]", "$.a[0", "$['a'", "$.*", "$[99999999999]", "$[]",
    ])
    func brokenPathsAreErrors(path: String) {
        #expect(
            refused(iris("smoke: [{expect: {\"\(path)\": 1}}]")).contains("must be a path such as $.items[0].label"))
    }

    @Test(arguments: [
        ("{approx: x}", "'approx' must be a number or nested lists of numbers"),
        ("{approx: [1, []]}", "'approx' must be a number or nested lists of numbers"),
        ("{tolerance: 1}", "'tolerance' needs 'approx'"),
        ("{approx: 1, tolerance: -1}", "'smoke[0].expect.a.tolerance' must not be negative or infinite"),
        ("{at_least: 2, at_most: 1}", "no number is at least 2.0 and at most 1.0"),
        ("{at_least: x}", "'smoke[0].expect.a.at_least' must be a number, not text"),
        ("{at_least: .nan}", "must be a finite number"),
        ("{at_least: 1, at_mst: 2}", "did you mean 'at_most'?"),
        ("{at_least: 1, max: 2}", "'max' is 'at_most' here"),
        ("{one_of: []}", "'one_of' must name a value"), ("{one_of: 1}", "must be a list, not a number"),
        ("{exists: false}", "'smoke[0].expect.a.exists' must be 'true', not a boolean"),
        ("{length: -1}", "must be from 0 to 1000000000, not -1"),
        (".inf", "must be a finite number, because JSON has no others"),
    ])
    func wrongMatcherIsAnError(matcher: String, message: String) {
        #expect(refused(iris("smoke: [{expect: {a: \(matcher)}}]")).contains(message))
    }

    @Test func likelySlipsAreWarnings() throws {
        func warning(_ smoke: String) throws -> String? {
            try accepted(iris("smoke: [{\(smoke)}]")).warnings.first?.rendered()
        }
        #expect(
            try warning("expect: {a: {atleast: 0.9}}") == """
                m.yaml:3:23: warning: 'smoke[0].expect.a' is compared with an object that has the key 'atleast'
                  smoke: [{expect: {a: {atleast: 0.9}}}]
                                        ^
                  did you mean 'at_least'?
                """)
        #expect(try warning("expect: {a: {gte: 0.9}}")?.hasSuffix("'gte' is 'at_least' here") == true)
        #expect(try warning("expect: {'a[0]': 1}")?.hasSuffix("write '$.a[0]' for a path") == true)
        #expect(try warning("within: 31s")?.contains("is longer than 'predict.timeout' (30s)") == true)
        #expect(try warning("expect: {a: {status: healthy}}") == nil)
    }
}
