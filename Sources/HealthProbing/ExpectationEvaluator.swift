import DeploymentCore

/// Checks the conditions of a smoke test against an answer; pure.
public enum ExpectationEvaluator {
    /// One line for each condition that does not hold: `$.confidence: expected at least 0.9, got 0.42`.
    public static func failures(of expectations: [SmokeTest.Expectation], in answer: JSONValue) -> [String] {
        expectations.compactMap { failure(of: $0, in: answer) }
    }

    private static func failure(of expectation: SmokeTest.Expectation, in answer: JSONValue) -> String? {
        var value = answer
        for (depth, element) in expectation.path.enumerated() {
            let next: JSONValue? =
                switch element {
                case .key(let key): value[key]
                case .index(let index): value[index]
                }
            guard let next else {
                let place = JSONPath.text(expectation.path)
                let parent = JSONPath.text(expectation.path.prefix(depth))
                return "\(place): expected \(describe(expectation.matcher)), but \(parent) \(contents(of: value))"
            }
            value = next
        }
        return mismatch(of: value, expectation.matcher, at: JSONPath.text(expectation.path))
    }

    /// The most keys that a message lists.
    static let maximumKeys = 12

    private static func contents(of value: JSONValue) -> String {
        switch value {
        case .object(let members) where members.isEmpty: return "is an empty object"
        case .object(let members):
            let keys = members.keys.sorted()
            let more = keys.count > maximumKeys ? ", …" : ""
            return "has only \(keys.prefix(maximumKeys).joined(separator: ", "))\(more)"
        case .array(let elements): return "has \(count(elements.count, "element"))"
        default: return "is \(JSONComparison.show(value))"
        }
    }

    private static func count(_ count: Int, _ noun: String) -> String { "\(count) \(noun)\(count == 1 ? "" : "s")" }

    private static func describe(_ matcher: SmokeTest.Matcher) -> String {
        switch matcher {
        case .equals(let value): JSONComparison.show(value)
        case .approximately(let value, let tolerance):
            "\(JSONComparison.show(value)) ± \(JSONComparison.show(tolerance))"
        case .atLeast(let bound): "at least \(JSONComparison.show(bound))"
        case .atMost(let bound): "at most \(JSONComparison.show(bound))"
        case .oneOf(let values): "one of \(values.map(JSONComparison.show).joined(separator: ", "))"
        case .exists: "any value"
        case .length(let length): "length \(length)"
        }
    }

    private static func mismatch(of value: JSONValue, _ matcher: SmokeTest.Matcher, at place: String) -> String? {
        let holds: Bool
        switch matcher {
        case .exists: return nil
        case .equals(let expected): holds = JSONComparison.areEqual(value, expected)
        case .oneOf(let candidates): holds = candidates.contains { JSONComparison.areEqual(value, $0) }
        case .approximately(let expected, let tolerance):
            return deviation(of: value, from: expected, tolerance, at: place)
        case .atLeast(let bound): return compare(value, matcher, at: place) { $0 >= bound }
        case .atMost(let bound): return compare(value, matcher, at: place) { $0 <= bound }
        case .length(let expected):
            guard let actual = length(of: value) else {
                return "\(place): expected length \(expected), got the \(value.kind) \(JSONComparison.show(value))"
            }
            return actual == expected ? nil : "\(place): expected length \(expected), got length \(actual)"
        }
        return holds ? nil : "\(place): expected \(describe(matcher)), got \(JSONComparison.show(value))"
    }

    private static func compare(
        _ value: JSONValue, _ matcher: SmokeTest.Matcher, at place: String, _ holds: (Double) -> Bool
    ) -> String? {
        if let number = value.double {
            return holds(number)
                ? nil : "\(place): expected \(describe(matcher)), got \(JSONComparison.show(number))"
        }
        let shown = JSONComparison.show(value)
        if value.array?.count == 1 {
            return "\(place): expected \(describe(matcher)), got the array \(shown); its element is \(place)[0]"
        }
        return "\(place): expected \(describe(matcher)), got the \(value.kind) \(shown)"
    }

    /// The first place where the values are too far apart, or not of the same shape.
    private static func deviation(
        of value: JSONValue, from expected: JSONValue, _ tolerance: Double, at place: String
    ) -> String? {
        if let wanted = expected.double {
            guard let actual = value.double else {
                return "\(place): expected a number near \(JSONComparison.show(wanted)), got the \(value.kind) "
                    + JSONComparison.show(value)
            }
            // Written so that a difference that is not a number does not pass.
            guard abs(actual - wanted) <= tolerance else {
                return "\(place): expected \(describe(.approximately(expected, tolerance: tolerance))), "
                    + "got \(JSONComparison.show(actual))"
            }
            return nil
        }
        guard let wanted = expected.array else {
            return JSONComparison.mismatch(of: value, expected: expected, at: place)
        }
        guard let actual = value.array else {
            return "\(place): expected \(count(wanted.count, "element")), got the \(value.kind) "
                + JSONComparison.show(value)
        }
        guard actual.count == wanted.count else {
            return "\(place): expected \(count(wanted.count, "element")), got \(actual.count)"
        }
        for (index, (actual, wanted)) in zip(actual, wanted).enumerated() {
            if let found = deviation(of: actual, from: wanted, tolerance, at: "\(place)[\(index)]") { return found }
        }
        return nil
    }

    private static func length(of value: JSONValue) -> Int? {
        switch value {
        case .array(let elements): elements.count
        case .object(let members): members.count
        case .string(let text): text.count
        default: nil
        }
    }
}
