/// Takes a `multipart/form-data` body (RFC 7578) apart as it comes.
struct MultipartParser {
    /// What a part's headers say of it.
    struct Part: Equatable {
        var name: String
        var filename: String?
    }

    /// What comes next in the form.
    enum Event: Equatable {
        case begin(Part)
        case bytes(ArraySlice<UInt8>)
        case end
    }

    private enum State {
        case preamble
        case afterBoundary
        case headers
        case content
        case done
    }

    /// Why a form is refused.
    struct Malformed: Error {
        var message: String
    }

    private static let boundaryLimit = 200
    private static let headerLimit = 16 << 10
    private static let blankLine = Array("\r\n\r\n".utf8)
    private var state = State.preamble
    /// CR LF, two dashes and the boundary.
    private let delimiter: [UInt8]
    private var buffer: [UInt8]

    /// nil when the media type has no boundary.
    init?(contentType: String) {
        guard let boundary = Self.parameter("boundary", of: contentType), !boundary.isEmpty,
            boundary.utf8.count <= Self.boundaryLimit
        else { return nil }
        delimiter = Array("\r\n--\(boundary)".utf8)
        // So that the first boundary, which begins the body, looks as the others do.
        buffer = [0x0D, 0x0A]
    }

    var isDone: Bool {
        if case .done = state { true } else { false }
    }

    mutating func append(_ bytes: ArraySlice<UInt8>) {
        if !isDone { buffer += bytes }
    }

    /// The next event; nil when more bytes are needed or the form is over.
    mutating func next() throws(Malformed) -> Event? {
        while true {
            switch state {
            case .done: return nil
            case .preamble:
                guard let found = buffer.firstRange(of: delimiter) else {
                    keepLast(delimiter.count - 1)
                    return nil
                }
                buffer.removeSubrange(..<found.upperBound)
                state = .afterBoundary
            case .afterBoundary:
                guard buffer.count >= 2 else { return nil }
                if buffer.starts(with: "--".utf8) {
                    state = .done
                    buffer = []
                } else if buffer.starts(with: "\r\n".utf8) {
                    state = .headers
                } else {
                    throw Malformed(message: "a boundary of the form is malformed")
                }
            case .headers:
                // The line end after the boundary stays, so that a part without headers has its blank line too.
                guard let found = buffer.firstRange(of: Self.blankLine) else {
                    guard buffer.count <= Self.headerLimit else {
                        throw Malformed(message: "the headers of a part are too long")
                    }
                    return nil
                }
                let part = try Self.part(buffer[..<found.lowerBound])
                buffer.removeSubrange(..<found.upperBound)
                state = .content
                return .begin(part)
            case .content: return nextContent()
            }
        }
    }

    private mutating func nextContent() -> Event? {
        if let found = buffer.firstRange(of: delimiter) {
            if found.lowerBound > 0 {
                let bytes = buffer[..<found.lowerBound]
                buffer.removeSubrange(..<found.lowerBound)
                return .bytes(bytes)
            }
            buffer.removeSubrange(..<found.upperBound)
            state = .afterBoundary
            return .end
        }
        let count = buffer.count - (delimiter.count - 1)
        guard count > 0 else { return nil }
        let bytes = buffer[..<count]
        buffer.removeSubrange(..<count)
        return .bytes(bytes)
    }

    private mutating func keepLast(_ count: Int) {
        if buffer.count > count { buffer.removeFirst(buffer.count - count) }
    }

    private static func part(_ bytes: ArraySlice<UInt8>) throws(Malformed) -> Part {
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw Malformed(message: "the headers of a part are not text")
        }
        for line in text.split(separator: "\r\n") {
            guard let colon = line.firstIndex(of: ":"), line[..<colon].lowercased() == "content-disposition" else {
                continue
            }
            let value = String(line[line.index(after: colon)...])
            return Part(name: parameter("name", of: value) ?? "", filename: parameter("filename", of: value))
        }
        throw Malformed(message: "a part has no content disposition")
    }

    /// A parameter of a header value, in quotes or not.
    private static func parameter(_ name: String, of value: String) -> String? {
        var rest = value[...]
        while let semicolon = rest.firstIndex(of: ";") {
            rest = rest[rest.index(after: semicolon)...].drop { $0 == " " || $0 == "\t" }
            guard let equals = rest.firstIndex(of: "="), !rest[..<equals].contains(";") else { continue }
            let key = rest[..<equals].lowercased()
            rest = rest[rest.index(after: equals)...]
            let found = takeValue(&rest)
            if key == name { return found }
        }
        return nil
    }

    private static func takeValue(_ rest: inout Substring) -> String {
        guard rest.first == "\"" else {
            let value = rest.prefix { $0 != ";" }
            rest = rest[value.endIndex...]
            return String(value).trimmed
        }
        rest = rest.dropFirst()
        var value = ""
        while let character = rest.popFirst(), character != "\"" {
            // Only an escaped quote or backslash is one; browsers send other backslashes as they are.
            if character == "\\", let next = rest.first, next == "\"" || next == "\\" {
                value.append(rest.removeFirst())
            } else {
                value.append(character)
            }
        }
        return value
    }
}
