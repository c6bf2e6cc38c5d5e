import DeploymentCore
import Foundation
import Testing

/// How JSON values are written, looked into and coded.
@Suite struct JSONWritingTests {
    @Test func equalValuesHaveEqualText() {
        let value: JSONValue = ["b": [1, 2.5, nil, true], "a": "x\n\"\\\u{1F}\u{7F}é", "c": [:], "d": []]
        #expect(value.description == #"{"a":"x\n\"\\\u001f\u007fé","b":[1,2.5,null,true],"c":{},"d":[]}"#)
    }

    @Test func numbersThatJSONCannotSayBecomeNull() {
        #expect(JSONValue.array([.double(.nan), .double(.infinity), .double(1)]).description == "[null,null,1.0]")
    }

    @Test func accessorsAnswerOnlyForTheirKind() {
        let value: JSONValue = ["a": [1, 2.0, 2.5, "x", true]]
        #expect(value["a"]?[0]?.integer == 1)
        #expect(value["a"]?[1]?.integer == 2)
        #expect(value["a"]?[2]?.integer == nil)
        #expect(value["a"]?[0]?.double == 1)
        #expect(value["a"]?[3]?.string == "x")
        #expect(value["a"]?[4]?.bool == true)
        #expect(value["a"]?[5] == nil)
        #expect(value["b"] == nil)
        #expect(value[0] == nil)
        #expect(JSONValue.double(1e300).integer == nil)
        #expect(
            [nil, true, 1, 1.5, "", [], [:]].map { (value: JSONValue) in value.kind }
                == ["null", "boolean", "number", "number", "string", "array", "object"])
    }

    @Test func codableKeepsTheValue() throws {
        let value: JSONValue = ["a": [1, -2.5, nil, true, "1"], "b": ["c": [:]]]
        let data = try JSONEncoder().encode(value)
        #expect(try JSONDecoder().decode(JSONValue.self, from: data) == value)
        #expect(try JSONValue(parsing: data) == value)
    }

    @Test func manifestSurvivesCoding() throws {
        let test = SmokeTest(
            name: "t", request: .init(body: .form([.init(name: "a", value: .file("x"))])),
            expect: [.init(path: [.key("a"), .index(0)], matcher: .approximately([1, 2.5], tolerance: 0.1))],
            within: .milliseconds(250))
        let manifest = Manifest(
            name: "iris", model: .init(type: "t", files: [.init(source: "https://x/y", target: "y")]),
            server: .init(app: .command(["a", "b"])), requirements: .list(["numpy"]),
            health: .init(expect: Manifest.Health.renderedExpectation), smoke: [test])
        let data = try JSONEncoder().encode(manifest)
        #expect(try JSONDecoder().decode(Manifest.self, from: data) == manifest)
    }
}
