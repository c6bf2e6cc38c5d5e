/// What an address is for, when it does not belong to one machine of the public internet.
public struct SpecialUse: Sendable, Hashable {
    /// The use in words: `loopback`, `private`, `cloud metadata`, …
    public let name: String
    /// Whether a connection to it can mean something; not for unspecified, multicast and broadcast addresses.
    public let isDestination: Bool
}

extension IPAddress {
    /// What the address is reserved for; nil for one of the public internet.
    ///
    /// Sources: the IANA special-purpose registries of IPv4 and IPv6, and where cloud providers put their metadata. An
    /// IPv6 address that carries an IPv4 one is no public address of its own; that of NAT64 (64:ff9b::/96, RFC 6052) is
    /// what its IPv4 address is.
    public var specialUse: SpecialUse? {
        if let carried = translated {
            return carried.specialUse.map {
                SpecialUse(name: "NAT64 of \($0.name)", isDestination: $0.isDestination)
            }
        }
        if let range = (isV4 ? Self.specialV4 : Self.specialV6).first(where: { $0.network.contains(self) }) {
            return range.use
        }
        // Global unicast is 2000::/3; nothing else of IPv6 has been given to anybody.
        return isV4 || bytes[0] & 0xE0 == 0x20 ? nil : SpecialUse(name: "reserved", isDestination: true)
    }

    /// The IPv4 address of an IPv4-mapped one (::ffff:0:0/96), which a socket connects to; itself otherwise.
    public var unmapped: IPAddress {
        guard let mapped = Self.mapped, mapped.contains(self) else { return self }
        return IPAddress(bytes: Array(bytes.suffix(4))) ?? self
    }

    /// The IPv4 address that a NAT64 gateway would connect to; nil for other addresses.
    private var translated: IPAddress? {
        guard let wellKnown = Self.wellKnownNAT64, wellKnown.contains(self) else { return nil }
        return IPAddress(bytes: Array(bytes.suffix(4)))
    }

    private static let mapped = network("::ffff:0:0", 96)
    private static let wellKnownNAT64 = network("64:ff9b::", 96)

    private struct Range: Sendable {
        let network: IPNetwork
        let use: SpecialUse
    }

    private static func network(_ text: String, _ bits: Int) -> IPNetwork? {
        IPAddress(parsing: text).flatMap { IPNetwork($0, bits: bits) }
    }

    private static func ranges(_ table: [(String, Int, String)]) -> [Range] {
        let nowhere: Set = ["unspecified", "multicast", "broadcast"]
        return table.compactMap { text, bits, name in
            network(text, bits).map {
                Range(network: $0, use: SpecialUse(name: name, isDestination: !nowhere.contains(name)))
            }
        }
    }

    /// The first that fits counts.
    private static let specialV4 = ranges([
        ("0.0.0.0", 8, "unspecified"), ("10.0.0.0", 8, "private"),
        ("100.100.100.200", 32, "cloud metadata"), ("100.64.0.0", 10, "carrier-grade NAT"),
        ("127.0.0.0", 8, "loopback"),
        ("168.63.129.16", 32, "cloud metadata"), ("169.254.169.254", 32, "cloud metadata"),
        ("169.254.170.2", 32, "cloud metadata"), ("169.254.0.0", 16, "link-local"), ("172.16.0.0", 12, "private"),
        ("192.0.0.192", 32, "cloud metadata"), ("192.0.0.0", 24, "reserved"), ("192.0.2.0", 24, "documentation"),
        ("192.88.99.0", 24, "6to4 relay"), ("192.168.0.0", 16, "private"), ("198.18.0.0", 15, "benchmarking"),
        ("198.51.100.0", 24, "documentation"), ("203.0.113.0", 24, "documentation"), ("224.0.0.0", 4, "multicast"),
        ("255.255.255.255", 32, "broadcast"), ("240.0.0.0", 4, "reserved"),
    ])

    private static let specialV6 = ranges([
        ("::", 128, "unspecified"), ("::1", 128, "loopback"), ("::ffff:0:0", 96, "IPv4-mapped"),
        ("::ffff:0:0:0", 96, "IPv4-translated"), ("::", 96, "IPv4-compatible"), ("64:ff9b:1::", 48, "local NAT64"),
        ("2001::", 32, "Teredo tunnel"), ("2001::", 23, "reserved"), ("2001:db8::", 32, "documentation"),
        ("2002::", 16, "6to4 tunnel"), ("3fff::", 20, "documentation"), ("fd00:ec2::254", 128, "cloud metadata"),
        ("fd20:ce::254", 128, "cloud metadata"), ("fc00::", 7, "private"), ("fe80::", 10, "link-local"),
        ("fec0::", 10, "site-local"), ("ff00::", 8, "multicast"),
    ])
}
