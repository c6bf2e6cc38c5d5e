/// An IPv4 or IPv6 address, without a zone.
public struct IPAddress: Sendable, Hashable {
    /// 4 or 16 bytes in network order.
    public let bytes: [UInt8]

    /// Takes 4 or 16 bytes in network order; nil for another number of them.
    public init?(bytes: [UInt8]) {
        guard bytes.count == 4 || bytes.count == 16 else { return nil }
        self.bytes = bytes
    }

    /// Whether it is an IPv4 address.
    public var isV4: Bool { bytes.count == 4 }

    /// Whether it is in 127.0.0.0/8, or ::1.
    public var isLoopback: Bool { isV4 ? bytes[0] == 127 : bytes.dropLast().allSatisfy { $0 == 0 } && bytes[15] == 1 }

    /// Reads what inet_pton(3) reads: `192.0.2.1` with four plain numbers, `2001:db8::1`, `::ffff:192.0.2.1`.
    ///
    /// - Returns: nil for anything else: other spellings of numbers, zones, brackets.
    public init?(parsing text: some StringProtocol) {
        let text = Substring(text)
        guard text.utf8.count <= 45, let bytes = text.utf8.contains(0x3A) ? Self.v6(text) : Self.v4(text) else {
            return nil
        }
        self.bytes = bytes
    }

    private static func v4(_ text: Substring) -> [UInt8]? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        let bytes = parts.compactMap { part -> UInt8? in
            let isPlain = (1...3).contains(part.utf8.count) && part.utf8.allSatisfy { (0x30...0x39).contains($0) }
            // A leading zero means octal to some readers and nothing to others.
            guard isPlain, part.utf8.count == 1 || part.utf8.first != 0x30 else { return nil }
            return UInt8(part)
        }
        return bytes.count == 4 ? bytes : nil
    }

    private static func v6(_ text: Substring) -> [UInt8]? {
        guard let gap = Self.gap(in: text) else {
            guard let bytes = groups(text, mayEndInV4: true), bytes.count == 16 else { return nil }
            return bytes
        }
        guard let head = groups(text[..<gap.lowerBound], mayEndInV4: false),
            let tail = groups(text[gap.upperBound...], mayEndInV4: true), head.count + tail.count <= 14
        else { return nil }
        return head + Array(repeating: 0, count: 16 - head.count - tail.count) + tail
    }

    /// The first `::`.
    private static func gap(in text: Substring) -> Range<Substring.Index>? {
        var index = text.startIndex
        while index < text.endIndex {
            let next = text.index(after: index)
            if text[index] == ":", next < text.endIndex, text[next] == ":" { return index..<text.index(after: next) }
            index = next
        }
        return nil
    }

    private static func groups(_ text: Substring, mayEndInV4: Bool) -> [UInt8]? {
        guard !text.isEmpty else { return [] }
        var bytes: [UInt8] = []
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        for (index, part) in parts.enumerated() {
            if index == parts.count - 1, mayEndInV4, part.utf8.contains(0x2E) {
                guard let last = v4(part) else { return nil }
                bytes += last
            } else {
                let isHex = part.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0 | 0x20) }
                guard (1...4).contains(part.utf8.count), isHex, let group = UInt16(part, radix: 16) else { return nil }
                bytes += [UInt8(group >> 8), UInt8(group & 0xFF)]
            }
        }
        return bytes.count <= 16 ? bytes : nil
    }
}

extension IPAddress: CustomStringConvertible {
    /// As RFC 5952 has it: lower case, the longest run of zeros as `::`.
    public var description: String {
        guard !isV4 else { return bytes.map { "\($0)" }.joined(separator: ".") }
        let groups = stride(from: 0, to: 16, by: 2).map { UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1]) }
        var longest = 0..<0
        var start = 0
        while start < groups.count {
            let end = groups[start...].firstIndex { $0 != 0 } ?? groups.count
            if end - start > max(longest.count, 1) { longest = start..<end }
            start = max(end, start + 1)
        }
        let text = { (part: ArraySlice<UInt16>) in part.map { String($0, radix: 16) }.joined(separator: ":") }
        guard !longest.isEmpty else { return text(groups[...]) }
        return text(groups[..<longest.lowerBound]) + "::" + text(groups[longest.upperBound...])
    }
}

/// A range of addresses: all that begin with the same bits.
public struct IPNetwork: Sendable, Hashable, CustomStringConvertible {
    /// The first address.
    public let first: IPAddress
    /// How many bits count: 0 to 32, or 128.
    public let bits: Int

    /// The network that an address lies in.
    ///
    /// - Returns: nil when the address has fewer bits than that.
    public init?(_ address: IPAddress, bits: Int) {
        guard (0...address.bytes.count * 8).contains(bits) else { return nil }
        let masked = address.bytes.enumerated().map { index, byte in
            byte & UInt8(truncatingIfNeeded: 0xFF00 >> min(8, max(0, bits - index * 8)))
        }
        guard let first = IPAddress(bytes: masked) else { return nil }
        self.first = first
        self.bits = bits
    }

    /// One address alone.
    public init(_ address: IPAddress) {
        first = address
        bits = address.bytes.count * 8
    }

    /// Reads `10.0.0.0/8` or one address; bits beyond the number are dropped. nil for anything else.
    public init?(parsing text: some StringProtocol) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard let first = parts.first, let address = IPAddress(parsing: first) else { return nil }
        switch parts.count {
        case 1: self.init(address)
        case 2:
            guard (1...3).contains(parts[1].utf8.count), parts[1].utf8.allSatisfy({ (0x30...0x39).contains($0) }),
                let bits = Int(parts[1])
            else { return nil }
            self.init(address, bits: bits)
        default: return nil
        }
    }

    /// Whether an address lies in it; never one of the other family.
    public func contains(_ address: IPAddress) -> Bool {
        address.bytes.count == first.bytes.count && IPNetwork(address, bits: bits)?.first == first
    }

    /// `10.0.0.0/8`; one address alone without the number.
    public var description: String { bits == first.bytes.count * 8 ? "\(first)" : "\(first)/\(bits)" }
}
