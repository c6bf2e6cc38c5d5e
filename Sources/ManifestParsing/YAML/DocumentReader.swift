import DeploymentCore

/// Builds the node tree of one YAML document, refusing everything a manifest does not need.
struct DocumentReader: ~Copyable {
    /// The deepest nesting of lists and mappings.
    static let maximumDepth = 32
    /// The most nodes, keys included.
    static let maximumNodes = 20_000

    private var events: EventReader
    private let findings: Findings
    private var nodes = 0

    /// Ends reading; the reason is among the findings.
    struct Stopped: Error {}

    private init(_ source: SourceText, findings: Findings) throws(SyntaxProblem) {
        events = try EventReader(source.bytes)
        self.findings = findings
    }

    /// The root of the only document in `source`; nil when there is none.
    ///
    /// - Throws: `Stopped` when the text is not YAML or passes a limit; smaller problems leave `.invalid` nodes.
    static func read(_ source: SourceText, findings: Findings) throws(Stopped) -> Node? {
        do {
            var reader = try DocumentReader(source, findings: findings)
            return try reader.readStream()
        } catch let problem as SyntaxProblem {
            findings.add(problem, in: source)
            throw Stopped()
        } catch {
            throw Stopped()
        }
    }

    private mutating func readStream() throws -> Node? {
        guard try events.next() != nil, let first = try events.next() else { return nil }
        let root = try readNode(first, depth: 0)
        if let second = try events.next() {
            findings.error(
                "a second document starts here", at: second.place,
                suggestion: "write one manifest per file; '---' may only stand at the top")
            throw Stopped()
        }
        return root
    }

    private mutating func nextInside() throws -> Event {
        guard let event = try events.next() else { throw Stopped() }
        return event
    }

    private mutating func readNode(_ event: Event, depth: Int) throws -> Node {
        nodes += 1
        guard nodes <= Self.maximumNodes else {
            findings.error("more than \(Self.maximumNodes) nodes", at: event.place)
            throw Stopped()
        }
        let content: Node.Content
        switch event.kind {
        case .scalar(let text, let isPlain, let properties):
            content = scalar(text, isPlain: isPlain, properties, at: event.place)
        case .sequenceStart(let properties):
            let elements = try readSequence(at: event.place, depth: depth + 1)
            content = isPlainCollection(properties, "seq", at: event.place) ? .sequence(elements) : .invalid
        case .mappingStart(let properties):
            let entries = try readMapping(at: event.place, depth: depth + 1)
            content = isPlainCollection(properties, "map", at: event.place) ? .mapping(entries) : .invalid
        case .alias(let anchor):
            findings.error(
                "the alias \(quoted("*\(anchor)")) is not allowed", at: event.place,
                suggestion: "write the value out; manifests have no anchors and aliases")
            content = .invalid
        case .documentStart, .end:
            throw Stopped()
        }
        return Node(content: content, place: event.place)
    }

    private func checkDepth(_ depth: Int, at place: Place) throws {
        guard depth <= Self.maximumDepth else {
            findings.error("nested deeper than \(Self.maximumDepth) levels", at: place)
            throw Stopped()
        }
    }

    private mutating func readSequence(at place: Place, depth: Int) throws -> [Node] {
        try checkDepth(depth, at: place)
        var elements: [Node] = []
        while true {
            let event = try nextInside()
            if case .end = event.kind { return elements }
            elements.append(try readNode(event, depth: depth))
        }
    }

    private mutating func readMapping(at place: Place, depth: Int) throws -> [Node.Entry] {
        try checkDepth(depth, at: place)
        var entries: [Node.Entry] = []
        var lines: [String: Int] = [:]
        while true {
            let event = try nextInside()
            if case .end = event.kind { return entries }
            let key = try readKey(event, depth: depth)
            let value = try readNode(try nextInside(), depth: depth)
            guard let key else { continue }
            if let line = lines[key] {
                findings.error("duplicate key \(quoted(key)), first given in line \(line)", at: event.place)
                continue
            }
            lines[key] = event.place.line
            entries.append(Node.Entry(key: key, keyPlace: event.place, value: value))
        }
    }

    /// The text of a key; nil, reported, when it is none.
    private mutating func readKey(_ event: Event, depth: Int) throws -> String? {
        if case .scalar("<<", isPlain: true, _) = event.kind {
            nodes += 1
            findings.error(
                "merge keys are not allowed", at: event.place,
                suggestion: "write the keys out; manifests have no anchors and aliases")
            return nil
        }
        let node = try readNode(event, depth: depth)
        switch node.content {
        case .scalar(let scalar): return scalar.text
        case .sequence, .mapping:
            findings.error("a key must be text, not \(node.kind)", at: event.place)
            return nil
        case .invalid: return nil
        }
    }

    private func scalar(
        _ text: String, isPlain: Bool, _ properties: Event.Properties, at place: Place
    ) -> Node.Content {
        guard checkAnchor(properties, at: place) else { return .invalid }
        guard let tag = properties.tag, tag != "!" else {
            let isText = !isPlain || properties.tag != nil
            return .scalar(Node.Scalar(text: text, value: isText ? .string(text) : CoreSchema.resolve(text)))
        }
        let scalarTags = ["str", "null", "bool", "int", "float"]
        guard let name = coreTag(tag, among: scalarTags, at: place) else { return .invalid }
        guard let value = CoreSchema.resolve(text, tag: name) else {
            findings.error("\(quoted(text)) is not of the type '!!\(name)'", at: place)
            return .invalid
        }
        return .scalar(Node.Scalar(text: text, value: value))
    }

    private func isPlainCollection(_ properties: Event.Properties, _ name: String, at place: Place) -> Bool {
        guard checkAnchor(properties, at: place) else { return false }
        guard let tag = properties.tag, tag != "!" else { return true }
        return coreTag(tag, among: [name], at: place) != nil
    }

    private func checkAnchor(_ properties: Event.Properties, at place: Place) -> Bool {
        guard let anchor = properties.anchor else { return true }
        findings.error(
            "the anchor \(quoted("&\(anchor)")) is not allowed", at: place,
            suggestion: "write the value out; manifests have no anchors and aliases")
        return false
    }

    private func coreTag(_ tag: String, among names: [String], at place: Place) -> String? {
        let prefix = "tag:yaml.org,2002:"
        let short = tag.hasPrefix(prefix) ? String(tag.dropFirst(prefix.count)) : nil
        if let short, names.contains(short) { return short }
        findings.error(
            "the tag \(quoted(short.map { "!!\($0)" } ?? tag)) is not allowed here", at: place,
            suggestion: "leave the tag out")
        return nil
    }
}
