/// A `Host` field: the host in lower case, and whatever port came with it.
struct Authority: Equatable {
    /// The longest host in bytes (RFC 1035).
    static let maximumHost = 253

    /// Without the port, the brackets of IPv6 kept, without the dot of a root.
    let host: String
    /// The port; nil when there is none.
    let port: Int?

    /// Reads a field; nil when it is not `host` or `host:port`.
    init?(_ text: String) {
        var rest = Substring(text.lowercased())
        if rest.hasPrefix("[") {
            guard let end = rest.firstIndex(of: "]") else { return nil }
            let literal = rest[rest.index(after: rest.startIndex)..<end]
            guard literal.contains(":"), literal.utf8.allSatisfy(Self.isAddressByte) else { return nil }
            host = String(rest[...end])
            rest = rest[rest.index(after: end)...]
        } else {
            var name = rest.prefix { $0 != ":" }
            rest = rest[name.endIndex...]
            if name.hasSuffix(".") { name.removeLast() }
            guard Self.isName(name) else { return nil }
            host = String(name)
        }
        if rest.isEmpty {
            port = nil
        } else {
            guard let port = Self.port(rest.dropFirst()) else { return nil }
            self.port = port
        }
    }

    /// Reads a port: decimal digits only, 1 to 65535.
    static func port(_ text: some StringProtocol) -> Int? {
        guard (1...5).contains(text.utf8.count), text.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let port = Int(text), (1...65_535).contains(port)
        else { return nil }
        return port
    }

    /// Whether it is an address instead of a name.
    var isAddress: Bool {
        if host.hasPrefix("[") { return true }
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4
            && parts.allSatisfy { part in
                (1...3).contains(part.utf8.count) && part.utf8.allSatisfy { (0x30...0x39).contains($0) }
                    && (Int(part) ?? 256) <= 255
            }
    }

    private static func isName(_ name: Substring) -> Bool {
        guard !name.isEmpty, name.utf8.count <= maximumHost else { return false }
        return name.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
            (1...63).contains(label.utf8.count)
                && label.utf8.allSatisfy { byte in
                    (0x61...0x7A).contains(byte) || (0x30...0x39).contains(byte) || byte == 0x2D || byte == 0x5F
                }
        }
    }

    private static func isAddressByte(_ byte: UInt8) -> Bool {
        (0x61...0x66).contains(byte) || (0x30...0x39).contains(byte) || byte == 0x3A || byte == 0x2E
    }
}
