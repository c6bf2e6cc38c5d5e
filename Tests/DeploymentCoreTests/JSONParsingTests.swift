import DeploymentCore
import Testing

/// The JSON parser on texts that are right, wrong and hostile.
@Suite struct JSONParsingTests {
    private func parse(_ text: String) throws -> JSONValue { try JSONValue(parsing: text) }

    private func error(_ text: String) -> JSONParsingError? { error(Array(text.utf8)) }

    private func error(_ bytes: [UInt8]) -> JSONParsingError? {
        do {
            _ = try JSONValue(parsing: bytes)
            return nil
        } catch {
            return error
        }
    }

    @Test func everyKindIsRead() throws {
        #expect(try parse(" null ") == nil)
        #expect(try parse("true") == true)
        #expect(try parse("false") == false)
        #expect(try parse("\"\"") == "")
        #expect(try parse("[]") == [])
        #expect(try parse("{ }") == [:])
        #expect(
            try parse("\t{\"a\" : [1, -2.5, {\"b\": null}],\r\n \"c\":\"d\"}") == [
                "a": [1, -2.5, ["b": nil]], "c": "d",
            ])
        #expect(try parse("{\"a\":1,\"a\":2}") == ["a": 2])
    }

    @Test(
        arguments: [
            ("0", .integer(0)), ("-0", .integer(0)), ("9223372036854775807", .integer(.max)),
            ("-9223372036854775808", .integer(.min)), ("9223372036854775808", .double(9_223_372_036_854_775_808)),
            ("1.0", .double(1)), ("1e2", .double(100)), ("1E+2", .double(100)), ("25e-1", .double(2.5)),
            ("-0.5", .double(-0.5)), ("5e-324", .double(.leastNonzeroMagnitude)),
        ] as [(String, JSONValue)])
    func numbersKeepTheirKind(text: String, value: JSONValue) throws {
        #expect(try parse(text) == value)
    }

    @Test(arguments: [
        ("", 0, "the text ends where a value should be"), ("01", 1, "unexpected text after the value"),
        ("-", 1, "expected a digit"), ("1.", 2, "expected a digit"), ("1e", 2, "expected a digit"),
        (".5", 0, "expected a value"), ("+1", 0, "expected a value"), ("1e400", 5, "the number is out of range"),
        ("NaN", 0, "expected a value"), ("nul", 0, "expected a value"), ("tru", 0, "expected a value"),
        ("[1,]", 3, "expected a value"), ("[1 2]", 3, "expected ',' or ']'"), ("[1", 2, "expected ',' or ']'"),
        ("{\"a\"}", 4, "expected ':' after the key"), ("{a:1}", 1, "expected a key in double quotes"),
        ("{\"a\":1,}", 7, "expected a key in double quotes"), ("{\"a\":1", 6, "expected ',' or '}'"),
        ("1 2", 2, "unexpected text after the value"), ("\"a", 2, "the string does not end"),
        ("\"\u{01}\"", 1, "control character in a string"), ("\"a\nb\"", 2, "control character in a string"),
        ("\"\\x\"", 3, "unknown escape"), ("\"\\u12\"", 3, "expected four hex digits"),
        ("\"\\u12g4\"", 3, "expected four hex digits"), ("'a'", 0, "expected a value"),
    ])
    func errorsNameTheByte(text: String, offset: Int, message: String) throws {
        let error = try #require(self.error(text))
        #expect(error.message == message)
        #expect(error.offset == offset)
        #expect(error.description == "\(message) at byte \(offset)")
    }

    @Test func surrogatesComeInPairs() throws {
        #expect(try parse("\"\\ud83d\\ude00\"") == "😀")
        #expect(try parse("\"\\u00e9\\u0000\\/\\b\\f\\n\\r\\t\\\\\\\"\"") == "é\0/\u{08}\u{0C}\n\r\t\\\"")
        for text in ["\"\\ud83d\"", "\"\\ude00\"", "\"\\ud83d\\u0041\"", "\"\\ud83dx\"", "\"\\ud83d\\ud83d\""] {
            #expect(error(text)?.message == "half of a surrogate pair", "\(text)")
        }
    }

    @Test func stringsMustBeUTF8() throws {
        #expect(error([0x22, 0xFF, 0x22])?.message == "the text is not UTF-8")
        #expect(error([0x22, 0xC0, 0xAF, 0x22])?.message == "the text is not UTF-8")
        #expect(error([0x22, 0xED, 0xA0, 0x80, 0x22])?.message == "the text is not UTF-8")
        #expect(error([0xEF, 0xBB, 0xBF, 0x31])?.offset == 0)
    }

    @Test func nestingStopsAtItsLimit() throws {
        func nested(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        }
        #expect(try parse(nested(JSONValue.maximumDepth)).array?.count == 1)
        #expect(error(nested(JSONValue.maximumDepth + 1))?.message == "nested deeper than 128 levels")
        #expect(error(String(repeating: "[", count: 100_000))?.offset == JSONValue.maximumDepth)
        #expect(error(String(repeating: "{\"a\":", count: 100_000))?.message == "nested deeper than 128 levels")
        // Depth is how deep, not how many.
        let wide = "[" + Array(repeating: "[]", count: 1000).joined(separator: ",") + "]"
        #expect(try parse(wide).array?.count == 1000)
    }

    @Test func everyPrefixOfATextIsAnErrorOrAValue() throws {
        let bytes = Array("{\"a\":[1,-2.5e3,true,null,\"\\u00e9\\ud83d\\ude00é\"],\"b\":{}}".utf8)
        for length in bytes.indices { #expect(error(Array(bytes.prefix(length))) != nil, "prefix \(length)") }
        #expect(error(bytes) == nil)
    }

    @Test func writtenValuesAreReadBack() throws {
        var generator = SplitMix(state: 42)
        for _ in 0..<500 {
            let value = JSONValue.random(depth: 4, using: &generator)
            #expect(try JSONValue(parsing: value.encoded()) == value)
            #expect(try JSONValue(parsing: value.description) == value)
        }
    }
}

/// A small generator with a seed, so that a failure can be seen again (Steele, Lea and Flood 2014).
private struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

extension JSONValue {
    fileprivate static func random(depth: Int, using generator: inout SplitMix) -> JSONValue {
        switch Int.random(in: 0..<(depth > 0 ? 8 : 6), using: &generator) {
        case 0: return .null
        case 1: return .bool(Bool.random(using: &generator))
        case 2: return .integer(Int64(bitPattern: generator.next()))
        case 3: return .double(Double.random(in: -1e9...1e9, using: &generator))
        case 4, 5: return .string(randomText(using: &generator))
        case 6: return .array((0..<3).map { _ in random(depth: depth - 1, using: &generator) })
        default:
            let pairs = (0..<3).map {
                (randomText(using: &generator) + "\($0)", random(depth: depth - 1, using: &generator))
            }
            return .object(Dictionary(pairs) { _, last in last })
        }
    }

    private static func randomText(using generator: inout SplitMix) -> String {
        var text = String.UnicodeScalarView()
        for _ in 0..<Int.random(in: 0..<8, using: &generator) {
            let limit: UInt32 = Bool.random(using: &generator) ? 0x80 : 0x2_0000
            if let scalar = Unicode.Scalar(UInt32.random(in: 0..<limit, using: &generator)) { text.append(scalar) }
        }
        return String(text)
    }
}
