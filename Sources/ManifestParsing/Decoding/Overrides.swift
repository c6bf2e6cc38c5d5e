import DeploymentCore

/// The `--set path=value` flags, put into the node tree.
enum Overrides {
    /// The longest flag in bytes.
    static let maximumBytes = 65_536

    /// One step of a flag's path.
    private enum Step {
        case key(String)
        case index(Int)
    }

    /// Puts each flag's value at its path, making the mappings on the way; what cannot be put is reported.
    static func apply(_ flags: [String], to root: inout Node, findings: Findings) {
        guard flags.count <= ManifestParser.maximumOverrides else {
            findings.error(
                "\(flags.count) flags are given; at most \(ManifestParser.maximumOverrides) are allowed",
                at: Place(.flag("…")))
            return
        }
        for flag in flags { apply(flag, to: &root, findings: findings) }
    }

    private static func apply(_ flag: String, to root: inout Node, findings: Findings) {
        guard flag.utf8.count <= maximumBytes, let sign = flag.firstIndex(of: "=") else {
            let place = Place(.flag(shown(flag)))
            let message = "must be path=value"
            return findings.error(message, at: place, suggestion: "as in '--set health.timeout=2s'")
        }
        let path = String(flag[..<sign])
        let place = Place(.flag(shown(path)))
        guard let steps = steps(of: path), !steps.isEmpty else {
            let message = "the path is not of keys joined with '.'"
            return findings.error(message, at: place, suggestion: "as in 'smoke[0].within'")
        }
        guard let value = value(String(flag[flag.index(after: sign)...]), at: place, findings: findings) else { return }
        put(value, at: steps[...], into: &root, walked: "", findings: findings)
    }

    private static func shown(_ text: String) -> String { String(quoted(text).dropFirst().dropLast()) }

    /// The steps of `smoke[0].expect."$.a.b"`; nil when they make no path.
    private static func steps(of path: String) -> [Step]? {
        var steps: [Step] = []
        var rest = path[...]
        while !rest.isEmpty {
            if rest.first == "[" {
                let digits = rest.dropFirst().prefix { $0 != "]" }
                guard !steps.isEmpty, digits.utf8.count <= 4, let index = Int(digits), index >= 0 else { return nil }
                rest = rest[digits.endIndex...]
                guard rest.popFirst() == "]" else { return nil }
                steps.append(.index(index))
                continue
            }
            if !steps.isEmpty, rest.popFirst() != "." { return nil }
            let key: Substring
            if rest.first == "\"" {
                key = rest.dropFirst().prefix { $0 != "\"" }
                rest = rest[key.endIndex...]
                guard rest.popFirst() == "\"" else { return nil }
            } else {
                key = rest.prefix { $0 != "." && $0 != "[" }
                rest = rest[key.endIndex...]
            }
            guard !key.isEmpty, steps.count < DocumentReader.maximumDepth else { return nil }
            steps.append(.key(String(key)))
        }
        return steps
    }

    /// Lists, mappings and quoted text are YAML; everything else is a plain scalar, whatever characters it has.
    private static func value(_ text: String, at place: Place, findings: Findings) -> Node? {
        guard let first = text.first, "[{\"'".contains(first) else {
            let scalar = Node.Scalar(text: text, value: CoreSchema.resolve(text))
            return Node(content: .scalar(scalar), place: place)
        }
        let own = Findings()
        let source = SourceText(Array(text.utf8))
        if source.isReadable(findings: own), let node = try? DocumentReader.read(source, findings: own), !own.hasErrors
        {
            return node.moved(to: place)
        }
        let reason = own.findings.first?.message ?? "not YAML"
        findings.error("the value is not YAML: \(reason)", at: place)
        return nil
    }

    private static func put(
        _ value: Node, at steps: ArraySlice<Step>, into node: inout Node, walked: String, findings: Findings
    ) {
        guard let step = steps.first else {
            node = value
            return
        }
        if node.isNull {
            let isIndex = if case .index = step { true } else { false }
            node = Node(content: isIndex ? .sequence([]) : .mapping([]), place: value.place)
        }
        switch (step, node.content) {
        case (.key(let key), .mapping(var entries)):
            let index = entries.firstIndex { $0.key == key } ?? entries.endIndex
            if index == entries.endIndex {
                let empty = Node(content: .scalar(Node.Scalar(text: "", value: .null)), place: value.place)
                entries.append(Node.Entry(key: key, keyPlace: value.place, value: empty))
            }
            if steps.count == 1 { entries[index].keyPlace = value.place }
            let inner = walked.isEmpty ? key : "\(walked).\(key)"
            put(value, at: steps.dropFirst(), into: &entries[index].value, walked: inner, findings: findings)
            node.content = .mapping(entries)
        case (.index(let index), .sequence(var nodes)) where index <= nodes.count:
            if index == nodes.count {
                nodes.append(Node(content: .scalar(Node.Scalar(text: "", value: .null)), place: value.place))
            }
            put(value, at: steps.dropFirst(), into: &nodes[index], walked: "\(walked)[\(index)]", findings: findings)
            node.content = .sequence(nodes)
        case (.index(let index), .sequence(let nodes)):
            findings.error("\(quoted(walked)) has \(nodes.count) elements, so there is no [\(index)]", at: value.place)
        default:
            let what = walked.isEmpty ? "the manifest" : quoted(walked)
            findings.error("\(what) is \(node.kind), so nothing in it can be set", at: value.place)
        }
    }
}

extension Node {
    fileprivate var isNull: Bool {
        if case .scalar(let scalar) = content, case .null = scalar.value { true } else { false }
    }

    /// The same tree, all of it at one place.
    fileprivate func moved(to place: Place) -> Node {
        switch content {
        case .scalar, .invalid: Node(content: content, place: place)
        case .sequence(let nodes): Node(content: .sequence(nodes.map { $0.moved(to: place) }), place: place)
        case .mapping(let entries):
            Node(
                content: .mapping(
                    entries.map { Node.Entry(key: $0.key, keyPlace: place, value: $0.value.moved(to: place)) }),
                place: place)
        }
    }
}
