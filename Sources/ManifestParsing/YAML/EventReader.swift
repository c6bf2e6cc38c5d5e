import CYAML

/// Reads libyaml's events from a buffer of its own; owns the C parser and frees it.
struct EventReader: ~Copyable {
    private let parser: UnsafeMutablePointer<yaml_parser_t>
    private let input: UnsafeMutableBufferPointer<UInt8>

    /// Takes UTF-8 without a byte order mark.
    init(_ bytes: [UInt8]) throws(SyntaxProblem) {
        parser = .allocate(capacity: 1)
        input = .allocate(capacity: max(bytes.count, 1))
        guard yaml_parser_initialize(parser) == 1 else {
            parser.deallocate()
            input.deallocate()
            throw SyntaxProblem(message: "out of memory", place: Place(line: 1, column: 1))
        }
        _ = input.initialize(from: bytes)
        yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
        yaml_parser_set_input_string(parser, input.baseAddress, bytes.count)
    }

    deinit {
        yaml_parser_delete(parser)
        parser.deallocate()
        input.deallocate()
    }

    /// The next event; nil at the end of the stream.
    mutating func next() throws(SyntaxProblem) -> Event? {
        while true {
            var event = yaml_event_t()
            guard yaml_parser_parse(parser, &event) == 1 else { throw problem }
            defer { yaml_event_delete(&event) }
            if event.type == YAML_STREAM_END_EVENT { return nil }
            if let kind = Self.kind(of: event) { return Event(kind: kind, place: Place(event.start_mark)) }
        }
    }

    private var problem: SyntaxProblem {
        let message = parser.pointee.problem.map { String(cString: $0) } ?? "not YAML"
        guard parser.pointee.error == YAML_SCANNER_ERROR || parser.pointee.error == YAML_PARSER_ERROR else {
            return SyntaxProblem(message: message, offset: parser.pointee.problem_offset)
        }
        let context = parser.pointee.context.map { String(cString: $0) }
        return SyntaxProblem(
            message: message, place: Place(parser.pointee.problem_mark), context: context,
            contextPlace: context == nil ? nil : Place(parser.pointee.context_mark))
    }

    private static func kind(of event: yaml_event_t) -> Event.Kind? {
        switch event.type {
        case YAML_DOCUMENT_START_EVENT: return .documentStart
        case YAML_ALIAS_EVENT: return .alias(text(event.data.alias.anchor) ?? "")
        case YAML_SCALAR_EVENT:
            let scalar = event.data.scalar
            let bytes = UnsafeBufferPointer(start: scalar.value, count: scalar.length)
            return .scalar(
                String(decoding: bytes, as: UTF8.self), isPlain: scalar.style == YAML_PLAIN_SCALAR_STYLE,
                Event.Properties(anchor: text(scalar.anchor), tag: text(scalar.tag)))
        case YAML_SEQUENCE_START_EVENT:
            let start = event.data.sequence_start
            return .sequenceStart(Event.Properties(anchor: text(start.anchor), tag: text(start.tag)))
        case YAML_MAPPING_START_EVENT:
            let start = event.data.mapping_start
            return .mappingStart(Event.Properties(anchor: text(start.anchor), tag: text(start.tag)))
        case YAML_SEQUENCE_END_EVENT, YAML_MAPPING_END_EVENT: return .end
        default: return nil
        }
    }

    private static func text(_ pointer: UnsafeMutablePointer<yaml_char_t>?) -> String? {
        pointer.map { String(cString: UnsafePointer($0)) }
    }
}

/// One event of a YAML stream, with copies of its texts.
struct Event {
    var kind: Kind
    var place: Place

    /// What happened; stream starts and document ends are left out.
    enum Kind {
        case documentStart
        case alias(String)
        case scalar(String, isPlain: Bool, Properties)
        case sequenceStart(Properties)
        case mappingStart(Properties)
        /// The end of the innermost sequence or mapping.
        case end
    }

    /// What may stand before a node.
    struct Properties {
        var anchor: String?
        var tag: String?
    }
}

/// What libyaml says about a text that is not YAML.
struct SyntaxProblem: Error {
    var message: String
    /// Where reading stopped; nil when only the byte offset is known.
    var place: Place?
    /// What was being read, as in `while parsing a flow sequence`.
    var context: String?
    /// Where that began.
    var contextPlace: Place?
    var offset = 0

    init(message: String, place: Place? = nil, context: String? = nil, contextPlace: Place? = nil, offset: Int = 0) {
        self.message = message
        self.place = place
        self.context = context
        self.contextPlace = contextPlace
        self.offset = offset
    }
}

extension Place {
    /// libyaml counts lines and columns from 0.
    fileprivate init(_ mark: yaml_mark_t) {
        self.init(line: Int(mark.line) + 1, column: Int(mark.column) + 1)
    }
}
