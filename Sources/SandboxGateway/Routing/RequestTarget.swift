/// The two parts of an origin-form target, as they came.
struct RequestTarget {
    /// Everything before the first `?`, not decoded.
    let path: Substring
    /// Everything behind it; nil when there is none.
    let query: Substring?

    init(_ text: String) {
        let mark = text.firstIndex(of: "?") ?? text.endIndex
        path = text[..<mark]
        query = mark == text.endIndex ? nil : text[text.index(after: mark)...]
    }

    /// The first values of the named parameters, decoded as forms are.
    ///
    /// - Throws: 400 for a parameter that comes twice or cannot be decoded.
    func parameters(_ names: Set<String>) throws(GateRefusal) -> [String: String] {
        var values: [String: String] = [:]
        for pair in (query ?? "").split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = Self.decode(parts[0], plusIsSpace: true), names.contains(name) else { continue }
            guard values[name] == nil else { throw .badRequest("\(name) came more than once in the query") }
            guard let value = Self.decode(parts.count > 1 ? parts[1] : "", plusIsSpace: true) else {
                throw .badRequest("\(name) in the query is not percent-encoded text")
            }
            values[name] = value
        }
        return values
    }

    /// Undoes percent-encoding; nil for a bad escape or what is not UTF-8.
    static func decode(_ text: some StringProtocol, plusIsSpace: Bool = false) -> String? {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count)
        var iterator = text.utf8.makeIterator()
        while let byte = iterator.next() {
            switch byte {
            case UInt8(ascii: "%"):
                guard let high = digit(iterator.next()), let low = digit(iterator.next()) else { return nil }
                bytes.append(high << 4 | low)
            case UInt8(ascii: "+") where plusIsSpace: bytes.append(UInt8(ascii: " "))
            default: bytes.append(byte)
            }
        }
        return String(validating: bytes, as: UTF8.self)
    }

    private static func digit(_ byte: UInt8?) -> UInt8? {
        switch byte {
        case .some(let byte) where (0x30...0x39).contains(byte): byte - 0x30
        case .some(let byte) where (0x61...0x66).contains(byte | 0x20): (byte | 0x20) - 0x61 + 10
        default: nil
        }
    }
}
