import NIOHTTP1

/// Refuses every request that two readers could read differently.
///
/// The codecs of both versions have refused much of it before; what is checked here does not depend on them.
enum RequestCheck {
    /// What a request's end is told by.
    enum Length: Equatable {
        case none
        case exactly(Int)
        case chunked
        /// HTTP/2 without a length: only its end tells.
        case untold
    }

    /// The longest target in bytes.
    static let maximumTarget = 16 * 1024

    /// Fields that `Connection` must not name, because it would take them away from those who decide by them.
    private static let kept: Set<String> = [
        "host", "content-length", "transfer-encoding", "e2b-sandbox-id", "e2b-sandbox-port",
        "e2b-traffic-access-token", "x-access-token", "x-api-key", "authorization", "cookie", "expect", "trailer",
    ]

    /// The host that a request is for.
    static func authority(of head: HTTPRequestHead) throws(GateRefusal) -> Authority {
        let hosts = head.headers["host"]
        guard hosts.count == 1 else {
            throw .badRequest(hosts.isEmpty ? "the header Host is missing" : "there is more than one Host")
        }
        guard let authority = Authority(hosts[0]) else { throw .badRequest("the header Host is malformed") }
        return authority
    }

    /// Checks the first line and the fields; how long the body is.
    static func check(_ head: HTTPRequestHead) throws(GateRefusal) -> Length {
        guard head.method != .CONNECT else { throw .methodNotAllowed("CONNECT is not spoken here") }
        guard isToken(head.method.rawValue) else { throw .badRequest("the method is malformed") }
        if head.method == .TRACE { throw .methodNotAllowed("TRACE is not spoken here") }
        guard head.uri.utf8.first == UInt8(ascii: "/") || head.uri == "*" && head.method == .OPTIONS else {
            throw .badRequest("the target has to be a path")
        }
        guard head.uri.utf8.count <= maximumTarget else { throw GateRefusal(414, "the target is too long") }
        guard head.uri.utf8.allSatisfy({ (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "#") }) else {
            throw .badRequest("the target has characters that have to be percent-encoded")
        }
        for (name, value) in head.headers {
            guard isToken(name) else { throw .badRequest("the name of a header is malformed") }
            guard value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }) else {
                throw .badRequest("the header \(name) has control characters")
            }
        }
        for name in connectionOptions(head.headers) {
            guard isToken(name) else { throw .badRequest("the header Connection is malformed") }
            guard !kept.contains(name) else { throw .badRequest("Connection must not name \(name)") }
        }
        return try length(of: head)
    }

    /// What `Connection` names, in lower case.
    static func connectionOptions(_ headers: HTTPHeaders) -> [String] {
        headers["connection"].flatMap { $0.split(separator: ",") }.map { trimmed($0).lowercased() }
            .filter { !$0.isEmpty }
    }

    private static func length(of head: HTTPRequestHead) throws(GateRefusal) -> Length {
        let lengths = head.headers["content-length"]
        let codings = head.headers["transfer-encoding"]
        guard lengths.count <= 1, codings.count <= 1, lengths.isEmpty || codings.isEmpty else {
            throw .badRequest("the length of the body is told twice")
        }
        if let coding = codings.first {
            guard head.version.major != 1 || head.version.minor >= 1 else {
                throw .badRequest("HTTP/1.0 knows no Transfer-Encoding")
            }
            guard coding.lowercased() == "chunked" else { throw GateRefusal(501, "only chunked bodies are known") }
            return .chunked
        }
        guard let text = lengths.first else { return head.version.major == 2 ? .untold : .none }
        guard (1...18).contains(text.utf8.count), text.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let length = Int(text)
        else { throw .badRequest("the header Content-Length is malformed") }
        return length == 0 ? .none : .exactly(length)
    }

    static func trimmed(_ text: Substring) -> Substring {
        let isBlank = { (character: Character) in character == " " || character == "\t" }
        var rest = text.drop(while: isBlank)
        while let last = rest.last, isBlank(last) { rest.removeLast() }
        return rest
    }

    /// Whether it is a token (RFC 9110 5.6.2).
    static func isToken(_ text: some StringProtocol) -> Bool {
        !text.isEmpty
            && text.utf8.allSatisfy { byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
                case 0x21, 0x23...0x27, 0x2A, 0x2B, 0x2D, 0x2E, 0x5E...0x60, 0x7C, 0x7E: true
                default: false
                }
            }
    }
}
