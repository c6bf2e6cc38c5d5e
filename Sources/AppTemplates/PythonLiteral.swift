import DeploymentCore

/// Values as Python source text: the only way by which a value enters a rendered file.
enum PythonLiteral {
    /// The deepest nesting that is written; Python's own parser refuses a little more than this.
    static let maximumDepth = 64

    /// An expression that evaluates to `value` and does nothing else; nil when it is nested too deeply.
    ///
    /// Only printable ASCII is written as itself, so that neither quotes, line ends and escapes nor invisible and
    /// right-to-left characters can make the text read differently from what it says.
    static func text(of value: JSONValue, depth: Int = 0) -> String? {
        guard depth < maximumDepth else { return nil }
        switch value {
        case .null: return "None"
        case .bool(let flag): return flag ? "True" : "False"
        case .integer(let number): return number.description
        case .double(let number):
            return number.isFinite ? number.description : "float(\"\(number.description)\")"
        case .string(let string): return quoted(string)
        case .array(let elements):
            let texts = elements.compactMap { text(of: $0, depth: depth + 1) }
            return texts.count == elements.count ? "[\(texts.joined(separator: ", "))]" : nil
        case .object(let members):
            let texts = members.sorted { $0.key < $1.key }
                .compactMap { key, value in text(of: value, depth: depth + 1).map { "\(quoted(key)): \($0)" } }
            return texts.count == members.count ? "{\(texts.joined(separator: ", "))}" : nil
        }
    }

    /// A string literal with the quotes that need fewer escapes, as Python's formatters write it.
    static func quoted(_ string: String) -> String {
        let scalars = string.unicodeScalars
        let doubles = scalars.count { $0 == "\"" }
        let quote: Unicode.Scalar = doubles > scalars.count { $0 == "'" } ? "'" : "\""
        var text = String(quote)
        for scalar in scalars {
            switch scalar {
            case quote, "\\": text += "\\\(scalar)"
            case "\n": text += "\\n"
            case "\r": text += "\\r"
            case "\t": text += "\\t"
            case " "..."~": text.unicodeScalars.append(scalar)
            default: text += escape(scalar)
            }
        }
        return text + String(quote)
    }

    private static func escape(_ scalar: Unicode.Scalar) -> String {
        let hex = String(scalar.value, radix: 16)
        let (letter, width) = scalar.value < 0x100 ? ("x", 2) : scalar.value < 0x10000 ? ("u", 4) : ("U", 8)
        return "\\\(letter)" + String(repeating: "0", count: width - hex.count) + hex
    }
}
