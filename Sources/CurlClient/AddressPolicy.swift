import Glibc

/// Which addresses may be connected to; checked on the address itself, after the name was looked up.
public enum AddressPolicy: Sendable, Equatable {
    /// Only addresses of the public internet (IANA special-purpose registries), against server-side request forgery.
    ///
    /// Proxies of the environment are not used, since they would look names up out of our sight.
    case publicOnly
    /// Only 127.0.0.0/8 and ::1.
    case loopback
    /// Any address; proxies of the environment are used.
    case any

    /// Whether the policy lets a numeric address through, as `127.0.0.1` or `fe80::1%eth0`; false for anything else.
    public func allows(_ address: String) -> Bool {
        let text = address.prefix { $0 != "%" }
        var v4 = in_addr()
        if inet_pton(AF_INET, String(text), &v4) == 1 { return allows(v4) }
        var v6 = in6_addr()
        if inet_pton(AF_INET6, String(text), &v6) == 1 { return allows(v6) }
        return false
    }

    /// Whether the policy lets a socket address through; only IPv4 and IPv6 ones.
    func allows(_ address: UnsafePointer<sockaddr>) -> Bool {
        let raw = UnsafeRawPointer(address)
        switch Int32(address.pointee.sa_family) {
        case AF_INET: return allows(raw.loadUnaligned(as: sockaddr_in.self).sin_addr)
        case AF_INET6: return allows(raw.loadUnaligned(as: sockaddr_in6.self).sin6_addr)
        default: return false
        }
    }

    private func allows(_ address: in_addr) -> Bool {
        let value = UInt32(bigEndian: address.s_addr)
        switch self {
        case .any: return true
        case .loopback: return value >> 24 == 127
        case .publicOnly: return !Self.specialV4.contains { value >> (32 - $0.bits) == $0.prefix >> (32 - $0.bits) }
        }
    }

    private func allows(_ address: in6_addr) -> Bool {
        let bytes = withUnsafeBytes(of: address) { Array($0) }
        switch self {
        case .any: return true
        case .loopback: return bytes.dropLast().allSatisfy { $0 == 0 } && bytes.last == 1
        case .publicOnly:
            // Global unicast is 2000::/3; this alone leaves out ::1, mapped and NAT64 addresses, ULA, link-local, multicast.
            guard bytes[0] & 0xE0 == 0x20 else { return false }
            let high = bytes.prefix(4).reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            return !Self.specialV6.contains { high >> (32 - $0.bits) == $0.prefix >> (32 - $0.bits) }
        }
    }

    /// https://www.iana.org/assignments/iana-ipv4-special-registry, multicast and the reserved rest.
    private static let specialV4: [(prefix: UInt32, bits: UInt32)] = [
        (0x0000_0000, 8), (0x0A00_0000, 8), (0x6440_0000, 10), (0x7F00_0000, 8), (0xA9FE_0000, 16),
        (0xAC10_0000, 12), (0xC000_0000, 24), (0xC000_0200, 24), (0xC058_6300, 24), (0xC0A8_0000, 16),
        (0xC612_0000, 15), (0xC633_6400, 24), (0xCB00_7100, 24), (0xE000_0000, 4), (0xF000_0000, 4),
    ]

    /// Inside 2000::/3: protocol assignments with Teredo, documentation, 6to4 (which carries a v4 address).
    private static let specialV6: [(prefix: UInt32, bits: UInt32)] = [
        (0x2001_0000, 23), (0x2001_0DB8, 32), (0x2002_0000, 16), (0x3FFF_0000, 20),
    ]
}
