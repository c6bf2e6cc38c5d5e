import DeploymentCore

/// One key of the manifest: the only definition that the decoder, the hints and the JSON Schema share.
struct Key: Sendable {
    /// The key as written.
    let name: String
    /// One sentence without a full stop.
    let doc: String
    /// What its value may be.
    let shape: Shape
    /// What holds without the key, where that is one value.
    let defaultValue: JSONValue?
    /// Whether the mapping is nothing without it.
    let isRequired: Bool

    init(_ name: String, _ shape: Shape, default value: JSONValue? = nil, isRequired: Bool = false, _ doc: String) {
        self.name = name
        self.doc = doc
        self.shape = shape
        defaultValue = value
        self.isRequired = isRequired
    }
}

/// What a value may be.
indirect enum Shape: Sendable {
    /// Text that YAML reads as text.
    case text(TextRule)
    /// Any scalar, taken as it is written: `3.10` stays `3.10`.
    case scalar(TextRule)
    case integer(ClosedRange<Int>)
    case number(ClosedRange<Double>)
    /// `500ms`, `30s`, `5m`, `1h`.
    case duration(ClosedRange<Duration>)
    case choice([String])
    case list(Shape, limit: Int)
    case mapping([Key])
    /// Keys of the user's choice, in the manifest's order.
    case dictionary(Shape, keys: TextRule, limit: Int)
    /// Any value that JSON can say.
    case json
    /// Any mapping that JSON can say.
    case jsonObject
    /// A value to compare with, or a mapping of these keys.
    case matcher([Key])
    /// The first that fits the kind of the node.
    case oneOf([Shape])

    /// The shape in a message: `must be …`.
    var expectation: String {
        switch self {
        case .text(let rule): rule.expectation
        case .scalar(let rule): rule.expectation
        case .integer: "a whole number"
        case .number: "a number"
        case .duration: "a duration such as 500ms, 30s, 5m or 1h"
        case .choice(let values): alternatives(values.map(quoted))
        case .list: "a list"
        case .mapping, .dictionary, .jsonObject: "a mapping"
        case .json, .matcher: "a value"
        case .oneOf(let shapes): alternatives(shapes.map(\.expectation))
        }
    }
}

/// What a text must look like.
struct TextRule: Sendable {
    /// The rule in a message: `must be …`.
    let expectation: String
    /// The rule for the JSON Schema, as far as a pattern can say it (ECMA-262, anchored).
    let pattern: String?
    /// The longest text in UTF-8 bytes.
    let maximumBytes: Int
    /// What is wrong with a text; nil when nothing is.
    let check: @Sendable (String) -> Fault?

    init(
        _ expectation: String, pattern: String? = nil, maximumBytes: Int = 1024,
        check: @escaping @Sendable (String) -> Fault? = { _ in nil }
    ) {
        self.expectation = expectation
        self.pattern = pattern
        self.maximumBytes = maximumBytes
        self.check = check
    }

    /// Why a text breaks its rule.
    struct Fault: Equatable {
        /// What stands behind the key's name: `must not be empty`.
        var message: String
        var suggestion: String?

        init(_ message: String, _ suggestion: String? = nil) {
            self.message = message
            self.suggestion = suggestion
        }
    }
}
