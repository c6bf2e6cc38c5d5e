/// The first line and the headers of an HTTP/1.1 request.
struct RequestHead {
    /// The longest head accepted, in bytes.
    static let lengthLimit = 32 << 10
    private static let headerCountLimit = 128

    var method: String
    /// The path as it came, not decoded.
    var path: String
    var query: [String: String]
    /// By lower-case name; repeated ones joined with a comma.
    var headers: [String: String]

    /// How the body's end is told.
    enum BodyLength: Equatable {
        case exactly(Int)
        case chunked
    }
    var bodyLength: BodyLength

    /// Why a head is refused.
    struct Malformed: Error {
        var status: Int
        var message: String

        init(_ message: String, status: Int = 400) {
            self.status = status
            self.message = message
        }
    }

    subscript(_ header: String) -> String? { headers[header] }

    var wantsClose: Bool { headers["connection"].map { $0.lowercased().contains("close") } ?? false }

    /// The media type without parameters, in lower case.
    var mediaType: String? {
        headers["content-type"].map { String($0.prefix { $0 != ";" }).trimmed.lowercased() }
    }

    /// Parses everything up to, and without, the blank line.
    init(parsing bytes: ArraySlice<UInt8>) throws(Malformed) {
        guard let text = String(validating: bytes, as: UTF8.self), !text.utf8.contains(0) else {
            throw Malformed("the request head is not text")
        }
        var lines = text.split(separator: "\r\n", omittingEmptySubsequences: false)[...]
        let first = (lines.popFirst() ?? "").split(separator: " ", omittingEmptySubsequences: false)
        guard first.count == 3, !first[0].isEmpty, first[1].hasPrefix("/") else {
            throw Malformed("the request line is malformed")
        }
        guard first[2] == "HTTP/1.1" else { throw Malformed("only HTTP/1.1 is spoken here", status: 505) }
        method = String(first[0])
        let target = first[1].split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        path = String(target[0])
        query = target.count > 1 ? try Self.parse(query: target[1]) : [:]
        headers = try Self.parse(headers: lines)
        bodyLength = try Self.bodyLength(headers)
    }

    private static func parse(headers lines: ArraySlice<Substring>) throws(Malformed) -> [String: String] {
        guard lines.count <= headerCountLimit else { throw Malformed("too many headers", status: 431) }
        var headers: [String: String] = [:]
        for line in lines where !line.isEmpty {
            guard let colon = line.firstIndex(of: ":"), colon > line.startIndex, !line.contains("\n") else {
                throw Malformed("a header line is malformed")
            }
            let name = line[..<colon].lowercased()
            guard !name.contains(where: { $0.isWhitespace }) else { throw Malformed("a header line is malformed") }
            let value = String(line[line.index(after: colon)...]).trimmed
            if let earlier = headers[name] {
                guard name != "content-length" || earlier == value else { throw Malformed("two body lengths") }
                headers[name] = name == "content-length" ? value : "\(earlier), \(value)"
            } else {
                headers[name] = value
            }
        }
        return headers
    }

    private static func bodyLength(_ headers: [String: String]) throws(Malformed) -> BodyLength {
        if let coding = headers["transfer-encoding"] {
            guard coding.lowercased() == "chunked" else { throw Malformed("unknown transfer coding", status: 501) }
            guard headers["content-length"] == nil else { throw Malformed("two body lengths") }
            return .chunked
        }
        guard let text = headers["content-length"] else { return .exactly(0) }
        guard text.allSatisfy({ $0.isASCII && $0.isNumber }), let length = Int(text) else {
            throw Malformed("the content length is malformed")
        }
        return .exactly(length)
    }

    private static func parse(query text: Substring) throws(Malformed) -> [String: String] {
        var query: [String: String] = [:]
        for pair in text.split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let key = decode(parts[0]), let value = parts.count > 1 ? decode(parts[1]) : "" else {
                throw Malformed("the query is malformed")
            }
            query[key] = value
        }
        return query
    }

    /// Undoes percent encoding and `+`; nil for a bad escape or text that is not UTF-8.
    private static func decode(_ text: Substring) -> String? {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "+"): bytes.append(UInt8(ascii: " "))
            case UInt8(ascii: "%"):
                guard let high = rest.popFirst(), let low = rest.popFirst(),
                    let value = UInt8(String(decoding: [high, low], as: UTF8.self), radix: 16)
                else { return nil }
                bytes.append(value)
            default: bytes.append(byte)
            }
        }
        return String(validating: bytes, as: UTF8.self)
    }
}

extension String {
    /// Without spaces and tabs at both ends.
    var trimmed: String {
        let isBlank: (Character) -> Bool = { $0 == " " || $0 == "\t" }
        guard let start = firstIndex(where: { !isBlank($0) }), let end = lastIndex(where: { !isBlank($0) }) else {
            return ""
        }
        return String(self[start...end])
    }
}
