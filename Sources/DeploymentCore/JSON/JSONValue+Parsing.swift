/// Why a text is not JSON, and at which byte.
public struct JSONParsingError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What is wrong.
    public let message: String
    /// The byte offset, counted from 0.
    public let offset: Int

    /// The message with its place.
    public var description: String { "\(message) at byte \(offset)" }
}

extension JSONValue {
    /// The deepest nesting that `init(parsing:)` accepts.
    public static let maximumDepth = 128

    /// Parses one JSON text (RFC 8259); a key given twice keeps its last value.
    ///
    /// - Throws: `JSONParsingError` for anything else, for nesting beyond `maximumDepth` and for bytes after the value.
    public init(parsing bytes: some Sequence<UInt8>) throws(JSONParsingError) {
        var parser = JSONParser(bytes: Array(bytes))
        self = try parser.parse()
    }

    /// Parses one JSON text.
    public init(parsing text: String) throws(JSONParsingError) {
        try self.init(parsing: text.utf8)
    }
}

/// A recursive-descent parser over bytes; recursion is bounded by `JSONValue.maximumDepth`.
private struct JSONParser {
    let bytes: [UInt8]
    var index = 0
    var depth = 0

    init(bytes: [UInt8]) { self.bytes = bytes }

    mutating func parse() throws(JSONParsingError) -> JSONValue {
        skipSpace()
        let value = try parseValue()
        skipSpace()
        guard index == bytes.count else { throw error("unexpected text after the value") }
        return value
    }

    private func error(_ message: String) -> JSONParsingError { JSONParsingError(message: message, offset: index) }

    private var current: UInt8? { index < bytes.count ? bytes[index] : nil }

    private mutating func skipSpace() {
        while let byte = current, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { index += 1 }
    }

    private func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard current == byte else { return false }
        index += 1
        return true
    }

    private mutating func parseValue() throws(JSONParsingError) -> JSONValue {
        switch current {
        case UInt8(ascii: "{"): return try nested { parser throws(JSONParsingError) in try parser.parseObject() }
        case UInt8(ascii: "["): return try nested { parser throws(JSONParsingError) in try parser.parseArray() }
        case UInt8(ascii: "\""): return .string(try parseString())
        case UInt8(ascii: "t"): return try parseWord("true", .bool(true))
        case UInt8(ascii: "f"): return try parseWord("false", .bool(false))
        case UInt8(ascii: "n"): return try parseWord("null", .null)
        case let byte? where byte == UInt8(ascii: "-") || isDigit(byte): return try parseNumber()
        case nil: throw error("the text ends where a value should be")
        default: throw error("expected a value")
        }
    }

    private mutating func nested(
        _ body: (inout JSONParser) throws(JSONParsingError) -> JSONValue
    ) throws(JSONParsingError) -> JSONValue {
        depth += 1
        guard depth <= JSONValue.maximumDepth else {
            throw error("nested deeper than \(JSONValue.maximumDepth) levels")
        }
        let value = try body(&self)
        depth -= 1
        return value
    }

    private mutating func parseWord(_ word: StaticString, _ value: JSONValue) throws(JSONParsingError) -> JSONValue {
        let end = index + word.utf8CodeUnitCount
        let expected = UnsafeBufferPointer(start: word.utf8Start, count: word.utf8CodeUnitCount)
        guard end <= bytes.count, bytes[index..<end].elementsEqual(expected) else { throw error("expected a value") }
        index = end
        return value
    }

    private mutating func parseObject() throws(JSONParsingError) -> JSONValue {
        index += 1
        var members: [String: JSONValue] = [:]
        skipSpace()
        if take(UInt8(ascii: "}")) { return .object(members) }
        while true {
            skipSpace()
            guard current == UInt8(ascii: "\"") else { throw error("expected a key in double quotes") }
            let key = try parseString()
            skipSpace()
            guard take(UInt8(ascii: ":")) else { throw error("expected ':' after the key") }
            skipSpace()
            members[key] = try parseValue()
            skipSpace()
            if take(UInt8(ascii: "}")) { return .object(members) }
            guard take(UInt8(ascii: ",")) else { throw error("expected ',' or '}'") }
        }
    }

    private mutating func parseArray() throws(JSONParsingError) -> JSONValue {
        index += 1
        var elements: [JSONValue] = []
        skipSpace()
        if take(UInt8(ascii: "]")) { return .array(elements) }
        while true {
            skipSpace()
            elements.append(try parseValue())
            skipSpace()
            if take(UInt8(ascii: "]")) { return .array(elements) }
            guard take(UInt8(ascii: ",")) else { throw error("expected ',' or ']'") }
        }
    }

    private mutating func parseNumber() throws(JSONParsingError) -> JSONValue {
        let start = index
        _ = take(UInt8(ascii: "-"))
        if !take(UInt8(ascii: "0")) { try skipDigits() }
        var isInteger = true
        if take(UInt8(ascii: ".")) {
            isInteger = false
            try skipDigits()
        }
        if take(UInt8(ascii: "e")) || take(UInt8(ascii: "E")) {
            isInteger = false
            if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
            try skipDigits()
        }
        let text = String(decoding: bytes[start..<index], as: UTF8.self)
        if isInteger, let value = Int64(text) { return .integer(value) }
        guard let value = Double(text), value.isFinite else { throw error("the number is out of range") }
        return .double(value)
    }

    private mutating func skipDigits() throws(JSONParsingError) {
        let start = index
        while let byte = current, isDigit(byte) { index += 1 }
        guard index > start else { throw error("expected a digit") }
    }

    private mutating func parseString() throws(JSONParsingError) -> String {
        index += 1
        var text: [UInt8] = []
        while let byte = current {
            switch byte {
            case UInt8(ascii: "\""):
                index += 1
                guard let string = String(validating: text, as: UTF8.self) else { throw error("the text is not UTF-8") }
                return string
            case UInt8(ascii: "\\"):
                index += 1
                try parseEscape(into: &text)
            case 0..<0x20: throw error("control character in a string")
            default:
                text.append(byte)
                index += 1
            }
        }
        throw error("the string does not end")
    }

    private mutating func parseEscape(into text: inout [UInt8]) throws(JSONParsingError) {
        let escape = current
        index += 1
        switch escape {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(escape ?? 0)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0C)
        case UInt8(ascii: "n"): text.append(0x0A)
        case UInt8(ascii: "r"): text.append(0x0D)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "u"):
            var scalar = UInt32(try parseHex())
            if (0xD800..<0xDC00).contains(scalar), take(UInt8(ascii: "\\")), take(UInt8(ascii: "u")) {
                let low = UInt32(try parseHex())
                guard (0xDC00..<0xE000).contains(low) else { throw error("half of a surrogate pair") }
                scalar = 0x10000 + (scalar - 0xD800) << 10 + (low - 0xDC00)
            }
            guard let character = Unicode.Scalar(scalar) else { throw error("half of a surrogate pair") }
            text += Character(character).utf8
        default: throw error("unknown escape")
        }
    }

    private mutating func parseHex() throws(JSONParsingError) -> UInt16 {
        guard index + 4 <= bytes.count else { throw error("expected four hex digits") }
        var value: UInt16 = 0
        for byte in bytes[index..<index + 4] {
            guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
                throw error("expected four hex digits")
            }
            value = value << 4 | UInt16(digit)
        }
        index += 4
        return value
    }
}
