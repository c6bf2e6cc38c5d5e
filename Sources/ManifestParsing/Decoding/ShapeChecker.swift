import DeploymentCore

/// Holds a node tree against shapes and reports everything that does not fit.
struct ShapeChecker {
    let findings: Findings

    /// The keys of a mapping that fit; wrong ones are reported and have no value.
    func check(_ entries: [Node.Entry], at place: Place, against keys: [Key], path: String) -> Fields {
        var fields: [Fields.Entry] = []
        for entry in entries {
            guard let key = keys.first(where: { $0.name == entry.key }) else {
                // Suggestions cost time, so nobody gets thousands of them.
                if findings.isFull { continue }
                findings.error(
                    "unknown key \(quoted(entry.key))\(path.isEmpty ? "" : " in \(quoted(path))")", at: entry.keyPlace,
                    suggestion: KeyHints.suggestion(for: entry.key, among: keys, path: path))
                continue
            }
            let inner = path.isEmpty ? key.name : "\(path).\(key.name)"
            let value = check(entry.value, against: key.shape, path: inner)
            fields.append(Fields.Entry(name: key.name, place: entry.keyPlace, value: value))
        }
        for key in keys where key.isRequired && !entries.contains(where: { $0.key == key.name }) {
            let name = path.isEmpty ? key.name : "\(path).\(key.name)"
            findings.error(
                "the key \(quoted(name)) is missing", at: place,
                suggestion: key.name == "name" ? "add a line such as 'name: iris'" : nil)
        }
        return Fields(place: place, entries: fields)
    }

    /// The value of a node under a shape; nil, reported, when it does not fit.
    func check(_ node: Node, against shape: Shape, path: String) -> Checked? {
        if case .invalid = node.content { return nil }
        switch shape {
        case .oneOf(let shapes):
            guard let fitting = shapes.first(where: { $0.takes(node) }) else { return mismatch(node, shape, path) }
            return check(node, against: fitting, path: path)
        case .json, .jsonObject:
            guard shape.takes(node) else { return mismatch(node, shape, path) }
            return json(node, path: path).map { Checked(place: node.place, content: .json($0)) }
        case .matcher(let keys): return matcher(node, keys, path: path)
        case .list, .mapping, .dictionary: return collection(node, shape, path: path)
        case .text, .scalar, .integer, .number, .duration, .choice:
            guard case .scalar(let scalar) = node.content else { return mismatch(node, shape, path) }
            return self.scalar(scalar, shape, at: node, path: path)
                .map { Checked(place: node.place, content: $0) }
        }
    }

    private func mismatch(_ node: Node, _ shape: Shape, _ path: String) -> Checked? {
        if case .scalar(let scalar) = node.content, case .null = scalar.value {
            findings.error(
                "\(quoted(path)) has no value", at: node.place,
                suggestion: "leave the key out, or give \(shape.expectation)")
            return nil
        }
        findings.error(
            "\(quoted(path)) must be \(shape.expectation), not \(node.kind)", at: node.place,
            suggestion: suggestion(for: node, shape))
        return nil
    }

    /// What to write instead, for slips that are worth a sentence.
    private func suggestion(for node: Node, _ shape: Shape) -> String? {
        guard case .scalar(let scalar) = node.content else { return nil }
        switch (shape, scalar.value) {
        case (.text, .bool), (.text, .integer), (.text, .double): return "write it in quotes: \"\(scalar.text)\""
        case (.list, .string(let text)) where !text.isEmpty && text.utf8.count <= 60:
            return "write [\(text.split(separator: " ").joined(separator: ", "))]"
        case (.integer, .string(let text)) where Int(text) != nil: return "leave the quotes out"
        case (.number, .string(let text)) where Double(text) != nil: return "leave the quotes out"
        default: return nil
        }
    }

    private func collection(_ node: Node, _ shape: Shape, path: String) -> Checked? {
        switch (shape, node.content) {
        case (.list(let element, let limit), .sequence(let nodes)):
            guard fits(nodes.count, limit, "elements", node, path) else { return nil }
            let elements = nodes.enumerated()
                .compactMap { check($0.element, against: element, path: "\(path)[\($0.offset)]") }
            return Checked(place: node.place, content: .list(elements))
        case (.mapping(let keys), .mapping(let entries)):
            return Checked(
                place: node.place, content: .fields(check(entries, at: node.place, against: keys, path: path)))
        case (.dictionary(let value, let rule, let limit), .mapping(let entries)):
            guard fits(entries.count, limit, "keys", node, path) else { return nil }
            let fields = entries.map { entry in
                let isKey = obeys(entry.key, rule, at: entry.keyPlace, path: "\(path).\(entry.key)")
                let value = check(entry.value, against: value, path: "\(path).\(entry.key)")
                return Fields.Entry(name: entry.key, place: entry.keyPlace, value: isKey ? value : nil)
            }
            return Checked(place: node.place, content: .fields(Fields(place: node.place, entries: fields)))
        default: return mismatch(node, shape, path)
        }
    }

    private func fits(_ count: Int, _ limit: Int, _ what: String, _ node: Node, _ path: String) -> Bool {
        if count > limit {
            findings.error("\(quoted(path)) has \(count) \(what); at most \(limit) are allowed", at: node.place)
        }
        return count <= limit
    }

    private func scalar(_ scalar: Node.Scalar, _ shape: Shape, at node: Node, path: String) -> Checked.Content? {
        switch (shape, scalar.value) {
        case (.text(let rule), .string(let text)), (.scalar(let rule), .string(let text)):
            return obeys(text, rule, at: node.place, path: path) ? .text(text) : nil
        case (.scalar(let rule), _):
            return obeys(scalar.text, rule, at: node.place, path: path) ? .text(scalar.text) : nil
        case (.integer(let range), .integer(let value)):
            if let integer = Int(exactly: value), range.contains(integer) { return .integer(integer) }
            findings.error(
                "\(quoted(path)) must be from \(range.lowerBound) to \(range.upperBound), not \(scalar.text)",
                at: node.place)
            return nil
        case (.number(let range), .integer), (.number(let range), .double):
            if let number = scalar.value.double, range.contains(number) { return .number(number) }
            findings.error(
                range.lowerBound == 0
                    ? "\(quoted(path)) must not be negative or infinite" : "\(quoted(path)) must be a finite number",
                at: node.place)
            return nil
        case (.duration(let range), .string), (.duration(let range), .integer), (.duration(let range), .double):
            return duration(scalar, range, at: node, path: path)
        case (.choice(let values), _) where values.contains(scalar.text): return .text(scalar.text)
        case (.choice(let values), .string(let text)):
            let near = KeyHints.nearest(text, among: values)
            findings.error(
                "\(quoted(path)) must be \(shape.expectation), not \(quoted(text))", at: node.place,
                suggestion: near.map { "did you mean \(quoted($0))?" })
            return nil
        default:
            _ = mismatch(node, shape, path)
            return nil
        }
    }

    private func duration(
        _ scalar: Node.Scalar, _ range: ClosedRange<Duration>, at node: Node, path: String
    ) -> Checked.Content? {
        guard let duration = DurationText.parse(scalar.text) else {
            findings.error(
                "\(quoted(path)) must be a duration such as 500ms, 30s, 5m or 1h, not \(quoted(scalar.text))",
                at: node.place,
                suggestion: DurationText.repaired(scalar.text).map { "did you mean \(quoted($0))?" })
            return nil
        }
        guard range.contains(duration) else {
            let (low, high) = (DurationText.write(range.lowerBound), DurationText.write(range.upperBound))
            findings.error(
                "\(quoted(path)) must be from \(low) to \(high), not \(scalar.text)", at: node.place)
            return nil
        }
        return .duration(duration)
    }

    private func obeys(_ text: String, _ rule: TextRule, at place: Place, path: String) -> Bool {
        if text.utf8.count > rule.maximumBytes {
            findings.error(
                "\(quoted(path)) is \(text.utf8.count) bytes long; at most \(rule.maximumBytes) are allowed", at: place)
            return false
        }
        guard let fault = rule.check(text) else { return true }
        findings.error("\(quoted(path)) \(fault.message)", at: place, suggestion: fault.suggestion)
        return false
    }

    private func matcher(_ node: Node, _ keys: [Key], path: String) -> Checked? {
        guard case .mapping(let entries) = node.content else { return check(node, against: .json, path: path) }
        if entries.contains(where: { entry in keys.contains { $0.name == entry.key } }) {
            return check(node, against: .mapping(keys), path: path)
        }
        // A plain object is compared as it is; one key that looks like a matcher was likely meant as one.
        if let entry = entries.first, entries.count <= 2, let hint = KeyHints.matcherSlip(entry.key, keys) {
            findings.warning(
                "\(quoted(path)) is compared with an object that has the key \(quoted(entry.key))", at: entry.keyPlace,
                suggestion: hint)
        }
        return check(node, against: .json, path: path)
    }

    /// The node as JSON; nil, reported, for what JSON cannot say.
    private func json(_ node: Node, path: String) -> JSONValue? {
        switch node.content {
        case .invalid: return nil
        case .scalar(let scalar):
            if case .double(let value) = scalar.value, !value.isFinite {
                findings.error("\(quoted(path)) must be a finite number, because JSON has no others", at: node.place)
                return nil
            }
            return scalar.value
        case .sequence(let nodes):
            let values = nodes.map { json($0, path: path) }
            return values.contains(nil) ? nil : .array(values.compactMap(\.self))
        case .mapping(let entries):
            var members: [String: JSONValue] = [:]
            var isComplete = true
            for entry in entries {
                let value = json(entry.value, path: path)
                isComplete = isComplete && value != nil
                members[entry.key] = value
            }
            return isComplete ? .object(members) : nil
        }
    }
}

extension Shape {
    /// Whether this alternative is meant by a node of this kind.
    fileprivate func takes(_ node: Node) -> Bool {
        switch (self, node.content) {
        case (.json, _), (.matcher, _), (.list, .sequence): true
        case (.mapping, .mapping), (.dictionary, .mapping), (.jsonObject, .mapping): true
        case (.text, .scalar(let scalar)): scalar.value.string != nil
        case (.choice, .scalar(let scalar)): scalar.value.string != nil
        case (.scalar, .scalar), (.integer, .scalar), (.number, .scalar), (.duration, .scalar): true
        default: false
        }
    }
}
