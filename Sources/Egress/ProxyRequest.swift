import DeploymentCore

/// A request to the proxy, read strictly (RFC 9112): `CONNECT host:port`, or a method with an `http://` URL.
struct ProxyRequest: Equatable {
    enum Kind: Equatable {
        /// Bytes are passed on from here on.
        case tunnel
        /// The request goes on in this form; what it has of a body follows.
        case forward(head: [UInt8], body: BodyExtent)
    }

    var target: EgressTarget
    var kind: Kind

    /// Reads a whole head, without the blank line at its end.
    static func parse(_ head: ArraySlice<UInt8>, limits: EgressLimits) throws(EgressProblem) -> ProxyRequest {
        let lines = try Self.lines(head)
        guard let first = lines.first else { throw .malformed("the request is empty") }
        guard lines.count - 1 <= limits.fields else { throw .headTooLarge }
        let parts = first.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
        guard parts.count == 3, !parts[0].isEmpty, parts[0].allSatisfy(isToken),
            parts[1].allSatisfy({ (0x21...0x7E).contains($0) }), parts[2].starts(with: "HTTP/".utf8)
        else { throw .malformed("the request line is malformed") }
        let version = String(decoding: parts[2], as: UTF8.self)
        guard version == "HTTP/1.1" || version == "HTTP/1.0" else { throw .unsupportedVersion }
        var fields: [Field] = []
        for line in lines.dropFirst() { fields.append(try Field(line)) }
        let method = String(decoding: parts[0], as: UTF8.self)
        let address = String(decoding: parts[1], as: UTF8.self)
        if method == "CONNECT" {
            guard
                fields.allSatisfy({
                    $0.name != "transfer-encoding" && ($0.name != "content-length" || $0.value == [0x30])
                })
            else { throw .malformed("CONNECT has no body") }
            return ProxyRequest(target: try target(address[...], standardPort: nil), kind: .tunnel)
        }
        let (target, authority, path) = try url(address)
        let body = try BodyExtent(fields, isVersion10: version == "HTTP/1.0")
        var head = "\(method) \(path) \(version)\r\nHost: \(authority)\r\n".utf8.map { $0 }
        for field in try passedOn(fields) { head += field.line + [13, 10] }
        head += "Connection: close\r\n\r\n".utf8
        return ProxyRequest(target: target, kind: .forward(head: head, body: body))
    }

    /// The lines between CR LF; a CR or LF of its own is malformed.
    private static func lines(_ head: ArraySlice<UInt8>) throws(EgressProblem) -> [ArraySlice<UInt8>] {
        var lines: [ArraySlice<UInt8>] = []
        var rest = head
        while !rest.isEmpty {
            let end = rest.firstIndex(of: 13) ?? rest.endIndex
            guard end == rest.endIndex || (end + 1 < rest.endIndex && rest[end + 1] == 10) else {
                throw .malformed("a line does not end in cr lf")
            }
            guard !rest[..<end].contains(where: { $0 == 10 || $0 == 0 }) else {
                throw .malformed("a line holds a control character")
            }
            lines.append(rest[..<end])
            rest = end == rest.endIndex ? [] : rest[(end + 2)...]
        }
        return lines
    }

    private static func url(_ text: String) throws(EgressProblem) -> (EgressTarget, authority: Substring, path: String)
    {
        let scheme = "http://"
        if text.lowercased().hasPrefix("https://") { throw .malformed("https goes through CONNECT") }
        guard text.lowercased().hasPrefix(scheme) else {
            throw .malformed("this is a proxy: it takes CONNECT, and methods with an http:// url")
        }
        guard !text.contains("#") else { throw .malformed("the url has a fragment") }
        let rest = text.dropFirst(scheme.utf8.count)
        let authority = rest.prefix { $0 != "/" && $0 != "?" }
        guard !authority.contains("@") else { throw .malformed("the url holds a user") }
        let path = rest.dropFirst(authority.count)
        return (
            try target(authority, standardPort: 80), authority, path.hasPrefix("/") ? String(path) : "/\(path)"
        )
    }

    /// `host:port`, `192.0.2.1:port`, `[2001:db8::1]:port`; the port may be missing where there is a standard one.
    static func target(_ text: Substring, standardPort: Int?) throws(EgressProblem) -> EgressTarget {
        let problem = EgressProblem.malformed(
            standardPort == nil ? "CONNECT needs host:port" : "the url names no host that can be connected to")
        var host = text
        var port = standardPort
        let bracket = text.hasPrefix("[") ? text.lastIndex(of: "]") : nil
        if let colon = text.lastIndex(of: ":"), bracket.map({ $0 < colon }) ?? true {
            let digits = text[text.index(after: colon)...]
            let isNumber = (1...5).contains(digits.utf8.count) && digits.utf8.allSatisfy { (0x30...0x39).contains($0) }
            guard isNumber, let number = Int(digits), (1...65_535).contains(number) else { throw problem }
            port = number
            host = text[..<colon]
        }
        guard let port else { throw problem }
        if host.hasPrefix("["), host.hasSuffix("]") {
            guard let address = IPAddress(parsing: host.dropFirst().dropLast()), !address.isV4 else { throw problem }
            return EgressTarget(host: .address(address.unmapped), port: port)
        }
        if let address = IPAddress(parsing: host), address.isV4 {
            return EgressTarget(host: .address(address), port: port)
        }
        guard let name = HostName.normalized(host) else { throw problem }
        return EgressTarget(host: .name(name), port: port)
    }

    /// What the other side gets to see: not what is meant for the connection to us.
    private static func passedOn(_ fields: [Field]) throws(EgressProblem) -> [Field] {
        var own: Set<String> = [
            "connection", "proxy-connection", "keep-alive", "te", "upgrade", "proxy-authorization",
            "proxy-authenticate",
            "host",
        ]
        for field in fields where field.name == "connection" || field.name == "proxy-connection" {
            for part in field.value.split(separator: UInt8(ascii: ",")) {
                let name = String(decoding: Field.trimmed(part), as: UTF8.self).lowercased()
                guard name != "content-length", name != "transfer-encoding" else {
                    throw .malformed("the connection field names the body's length")
                }
                own.insert(name)
            }
        }
        return fields.filter { !own.contains($0.name) }
    }

    /// `tchar` (RFC 9110 §5.6.2).
    static func isToken(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x5E...0x7A, 0x21, 0x23...0x27, 0x2A, 0x2B, 0x2D, 0x2E, 0x7C, 0x7E: true
        default: false
        }
    }

    /// One field line.
    struct Field: Equatable {
        /// In lower case.
        let name: String
        let value: ArraySlice<UInt8>
        /// As it came.
        let line: ArraySlice<UInt8>

        init(_ line: ArraySlice<UInt8>) throws(EgressProblem) {
            guard let colon = line.firstIndex(of: UInt8(ascii: ":")), colon > line.startIndex,
                line[..<colon].allSatisfy(isToken)
            else { throw .malformed("a field line is malformed") }
            let value = Self.trimmed(line[(colon + 1)...])
            guard value.allSatisfy({ ($0 >= 0x20 && $0 != 0x7F) || $0 == 9 }) else {
                throw .malformed("a field holds a control character")
            }
            name = String(decoding: line[..<colon], as: UTF8.self).lowercased()
            self.value = value
            self.line = line
        }

        static func trimmed(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
            let isBlank = { (byte: UInt8) in byte == 0x20 || byte == 9 }
            guard let first = bytes.firstIndex(where: { !isBlank($0) }),
                let last = bytes.lastIndex(where: { !isBlank($0) })
            else { return [] }
            return bytes[first...last]
        }
    }
}
