import DeploymentCore

/// How YAML 1.2's core schema reads a plain scalar (YAML 1.2.2, section 10.3.2).
enum CoreSchema {
    /// The value of a plain scalar without a tag; whatever is nothing else is text.
    static func resolve(_ text: String) -> JSONValue {
        switch text {
        case "", "~", "null", "Null", "NULL": return .null
        case "true", "True", "TRUE": return .bool(true)
        case "false", "False", "FALSE": return .bool(false)
        default: return number(text) ?? .string(text)
        }
    }

    /// The value under an explicit tag (`!!int`), nil when the text is not of that type.
    static func resolve(_ text: String, tag: String) -> JSONValue? {
        let value = resolve(text)
        switch (tag, value) {
        case ("str", _): return .string(text)
        case ("null", .null), ("bool", .bool), ("int", .integer), ("float", .double): return value
        case ("float", .integer(let integer)): return .double(Double(integer))
        default: return nil
        }
    }

    private static func number(_ text: String) -> JSONValue? {
        // Only these bytes start a number, so that most text ends here.
        guard let first = text.utf8.first, text.utf8.count <= 400,
            isDigit(first) || first == UInt8(ascii: "-") || first == UInt8(ascii: "+") || first == UInt8(ascii: ".")
        else { return nil }
        if text.hasPrefix("0x") || text.hasPrefix("0o") {
            let digits = text.dropFirst(2)
            guard digits.first?.isHexDigit == true else { return nil }
            return Int64(digits, radix: text.hasPrefix("0x") ? 16 : 8).map(JSONValue.integer)
        }
        let unsigned = text.first == "-" || text.first == "+" ? text.dropFirst() : text[...]
        switch unsigned {
        case ".inf", ".Inf", ".INF": return .double(text.first == "-" ? -.infinity : .infinity)
        case ".nan", ".NaN", ".NAN": if unsigned.count == text.count { return .double(.nan) }
        default: break
        }
        guard let isInteger = shape(of: unsigned.utf8) else { return nil }
        if isInteger, let value = Int64(text) { return .integer(value) }
        // Swift wants digits on both sides of the point; YAML does not.
        var spelled = text.replacing(".e", with: ".0e").replacing(".E", with: ".0E")
        if spelled.hasSuffix(".") { spelled += "0" }
        if unsigned.hasPrefix(".") { spelled = spelled.replacing(".", with: "0.", maxReplacements: 1) }
        return Double(spelled).map(JSONValue.double)
    }

    /// Whether the text is an integer (true), a float (false) or no number (nil); the sign is gone already.
    private static func shape(of text: Substring.UTF8View) -> Bool? {
        var rest = text[...]
        let whole = skipDigits(&rest)
        var fraction = 0
        var isInteger = true
        if rest.first == UInt8(ascii: ".") {
            isInteger = false
            rest = rest.dropFirst()
            fraction = skipDigits(&rest)
        }
        guard whole + fraction > 0 else { return nil }
        if let byte = rest.first, byte | 0x20 == UInt8(ascii: "e") {
            isInteger = false
            rest = rest.dropFirst()
            if rest.first == UInt8(ascii: "-") || rest.first == UInt8(ascii: "+") { rest = rest.dropFirst() }
            guard skipDigits(&rest) > 0 else { return nil }
        }
        return rest.isEmpty ? isInteger : nil
    }

    private static func skipDigits(_ text: inout Substring.UTF8View.SubSequence) -> Int {
        let digits = text.prefix(while: isDigit)
        text = text[digits.endIndex...]
        return digits.count
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
}
