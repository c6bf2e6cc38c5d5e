import DeploymentCore

/// How JSON values compare for people who write expectations: numbers by value, not by spelling.
enum JSONComparison {
    /// Whether both are the same, with `1` equal to `1.0`.
    static func areEqual(_ left: JSONValue, _ right: JSONValue) -> Bool {
        switch (left, right) {
        case (.integer(let integer), .double(let double)), (.double(let double), .integer(let integer)):
            return Int64(exactly: double) == integer
        case (.array(let left), .array(let right)):
            return left.count == right.count && zip(left, right).allSatisfy(areEqual)
        case (.object(let left), .object(let right)):
            return left.count == right.count
                && left.allSatisfy { key, value in right[key].map { areEqual(value, $0) } ?? false }
        default: return left == right
        }
    }

    /// Why `actual` does not contain `expected`, as `$.a: expected 1, got 2`; nil when it does.
    ///
    /// Objects may have more members than expected; everything else must be the same.
    static func mismatch(of actual: JSONValue, expected: JSONValue, at path: String = "$") -> String? {
        switch (expected, actual) {
        case (.object(let expected), .object(let actual)):
            for (key, value) in expected.sorted(by: { $0.key < $1.key }) {
                let place = path + JSONPath.text(.key(key))
                guard let found = actual[key] else { return "\(place): expected \(show(value)), but it is missing" }
                if let mismatch = mismatch(of: found, expected: value, at: place) { return mismatch }
            }
            return nil
        case (.array(let expected), .array(let actual)) where expected.count == actual.count:
            for (index, (expected, actual)) in zip(expected, actual).enumerated() {
                if let mismatch = mismatch(of: actual, expected: expected, at: "\(path)[\(index)]") { return mismatch }
            }
            return nil
        default:
            return areEqual(expected, actual) ? nil : "\(path): expected \(show(expected)), got \(show(actual))"
        }
    }

    /// The most characters of a value that a message shows.
    static let maximumShown = 200

    /// A value as a message shows it.
    static func show(_ value: JSONValue) -> String {
        if case .double(let number) = value { return show(number) }
        let text = value.description
        return text.count > maximumShown ? text.prefix(maximumShown) + "…" : text
    }

    /// A number without a needless fraction.
    static func show(_ number: Double) -> String {
        Int64(exactly: number).map(\.description) ?? number.description
    }
}

/// Paths into JSON values as people write them.
enum JSONPath {
    /// `$.items[0].label`
    static func text(_ path: some Sequence<SmokeTest.PathElement>) -> String {
        path.reduce(into: "$") { $0 += text($1) }
    }

    /// One step: `.key`, `["odd key"]` or `[0]`.
    static func text(_ element: SmokeTest.PathElement) -> String {
        switch element {
        case .index(let index): return "[\(index)]"
        case .key(let key):
            let isPlain = !key.isEmpty && key.utf8.allSatisfy { $0 == 0x5F || $0 == 0x2D || isAlphanumeric($0) }
            return isPlain ? ".\(key)" : "[\(JSONValue.string(key))]"
        }
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: false
        }
    }
}
