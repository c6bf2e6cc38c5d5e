/// One entry of a list of hosts that an app may reach: `host`, `*.suffix`, an address or a CIDR, each with `:port` or not.
public struct HostRule: Sendable, Hashable {
    /// What may be reached.
    public enum Target: Sendable, Hashable {
        /// A host of this name, in lower case.
        case name(String)
        /// Every name below this one, at any depth, but not the name itself.
        case below(String)
        /// Addresses, however private they are.
        case network(IPNetwork)
    }

    /// What may be reached.
    public let target: Target
    /// The one port; nil is every port.
    public let port: Int?

    /// Why a text is no rule.
    public struct Fault: Error, Sendable, Equatable {
        /// What stands behind the key's name: `must not be empty`.
        public let message: String
        /// What to write instead.
        public let suggestion: String?

        init(_ message: String, _ suggestion: String? = nil) {
            self.message = message
            self.suggestion = suggestion
        }
    }

    /// The longest rule in bytes: a name of 253, `*.`, and a port.
    public static let maximumBytes = 262
    /// The longest name in bytes (RFC 1035).
    static let maximumName = 253

    /// Reads `api.example.com`, `*.example.com:443`, `192.0.2.1`, `[2001:db8::1]:443`, `10.0.0.0/8`.
    public init(parsing text: String) throws(Fault) {
        try Self.checkShape(text)
        let (host, port) = try Self.split(text)
        self.port = port
        if host.utf8.contains(UInt8(ascii: "/")) {
            target = .network(try Self.network(host))
        } else if let address = IPAddress(parsing: host) {
            try Self.checkDestination(address)
            target = .network(IPNetwork(address.unmapped))
        } else if host.hasPrefix("*.") {
            target = .below(try Self.name(host.dropFirst(2)))
        } else {
            target = .name(try Self.name(host))
        }
    }

    private static func checkShape(_ text: String) throws(Fault) {
        if text.isEmpty { throw Fault("must not be empty", "write 'network: none' for no host at all") }
        if text.utf8.contains(where: { $0 <= 0x20 || $0 == 0x7F }) { throw Fault("must not contain blanks") }
        if !text.utf8.allSatisfy({ $0 < 0x80 }) {
            throw Fault("must be ASCII", "write an international name in its form with 'xn--'")
        }
        if let scheme = text.firstRange(of: "://") {
            let host = text[scheme.upperBound...].prefix { $0 != "/" && $0 != "?" && $0 != "#" }.split(separator: "@")
                .last
            let port = text.hasPrefix("https:") ? ":443" : text.hasPrefix("http:") ? ":80" : ""
            let suggestion = host.map {
                $0.contains(":") ? "write '\($0)'" : "write '\($0)', or '\($0)\(port)' for its port"
            }
            throw Fault("must be a host, not a URL", suggestion)
        }
        if text == "*" || text.hasPrefix("*:") {
            throw Fault("must not be every host", "write 'network: egress' for the public internet")
        }
        if text.contains("@") { throw Fault("must be a host without a user") }
        if text.contains("%") { throw Fault("must be an address without a zone") }
        let plain = text.hasPrefix("*.") ? text.dropFirst(2) : text[...]
        if plain.contains("*") { throw Fault("may have '*' as its first label only, as in '*.example.com'") }
    }

    /// A host and its port. An IPv6 address needs brackets when a port follows, as in a URL.
    private static func split(_ text: String) throws(Fault) -> (host: Substring, port: Int?) {
        if text.hasPrefix("[") {
            guard let end = text.firstIndex(of: "]") else { throw Fault("has no ']' for its '['") }
            let host = text[text.index(after: text.startIndex)..<end]
            let rest = text[text.index(after: end)...]
            guard host.contains(":") else { throw Fault("has '[' and ']' around what is no IPv6 address") }
            if rest.isEmpty { return (host, nil) }
            guard rest.hasPrefix(":") else { throw Fault("must have ':' and a port, or nothing, behind ']'") }
            return (host, try port(rest.dropFirst()))
        }
        let colons = text.utf8.count { $0 == UInt8(ascii: ":") }
        guard colons == 1, let colon = text.firstIndex(of: ":") else { return (text[...], nil) }
        return (text[..<colon], try port(text[text.index(after: colon)...]))
    }

    private static func port(_ text: Substring) throws(Fault) -> Int {
        let isNumber = (1...5).contains(text.utf8.count) && text.utf8.allSatisfy { (0x30...0x39).contains($0) }
        guard isNumber, let port = Int(text), (1...65_535).contains(port) else {
            throw Fault("must have a port from 1 to 65535 behind ':'")
        }
        return port
    }

    private static func network(_ text: Substring) throws(Fault) -> IPNetwork {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard let address = IPAddress(parsing: parts[0]) else {
            throw Fault("must be a host without a path", parts[0].isEmpty ? nil : "write '\(parts[0])'")
        }
        let limit = address.bytes.count * 8
        guard parts.count == 2, (1...3).contains(parts[1].utf8.count),
            parts[1].utf8.allSatisfy({ (0x30...0x39).contains($0) }), let bits = Int(parts[1]), bits <= limit,
            let network = IPNetwork(address, bits: bits)
        else { throw Fault("must have a number of bits from 1 to \(limit) behind '/'") }
        if bits == 0 { throw Fault("must not be every address", "write 'network: egress' for the public internet") }
        if network.first != address { throw Fault("has bits beyond its \(bits)", "write '\(network)'") }
        try checkDestination(address)
        return network
    }

    private static func checkDestination(_ address: IPAddress) throws(Fault) {
        guard let use = address.unmapped.specialUse, !use.isDestination else { return }
        throw Fault("must be an address that can be connected to; \(address) is \(use.name)")
    }

    private static func name(_ text: Substring) throws(Fault) -> String {
        guard let name = HostName.normalized(text) else {
            throw Fault("must be a host such as 'example.com', '*.example.com', '192.0.2.1' or '10.0.0.0/8'")
        }
        return name
    }
}

extension HostRule: CustomStringConvertible {
    /// As it is written in a manifest.
    public var description: String {
        let suffix = port.map { ":\($0)" } ?? ""
        switch target {
        case .name(let name): return name + suffix
        case .below(let name): return "*.\(name)\(suffix)"
        case .network(let network):
            return port == nil || network.first.isV4 ? "\(network)\(suffix)" : "[\(network)]\(suffix)"
        }
    }
}

/// Names of hosts (RFC 952, RFC 1123), with the underscore that some have.
public enum HostName {
    /// A name in lower case without the dot at its end; nil for what is none.
    ///
    /// A name whose last label is a number is none: to inet_aton(3), and so to resolvers, it is an address.
    public static func normalized(_ text: some StringProtocol) -> String? {
        let name = Substring(text).dropLast(text.hasSuffix(".") ? 1 : 0).lowercased()
        let labels = name.split(separator: ".", omittingEmptySubsequences: false)
        let areLabels = labels.allSatisfy { label in
            (1...63).contains(label.utf8.count) && !label.hasPrefix("-") && !label.hasSuffix("-")
                && label.utf8.allSatisfy {
                    (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == UInt8(ascii: "-")
                        || $0 == UInt8(ascii: "_")
                }
        }
        guard areLabels, (1...HostRule.maximumName).contains(name.utf8.count), let last = labels.last,
            !last.utf8.allSatisfy({ (0x30...0x39).contains($0) }), !last.hasPrefix("0x")
        else { return nil }
        return name
    }
}
