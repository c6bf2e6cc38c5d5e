/// The classes of bytes in a message head (RFC 9110 §5.6.2, RFC 9112 §3).
///
/// Bit sets instead of a table: no lazily made global on the hot path.
enum ByteClass {
    /// `tchar`: what a method or a field name consists of.
    @inline(__always) static func isToken(_ byte: UInt8) -> Bool {
        contains(byte, 0x03ff_6cfa_0000_0000, 0x57ff_ffff_c7ff_fffe)
    }

    /// What a `Host` may hold: a registered name, an address literal, a port.
    @inline(__always) static func isHost(_ byte: UInt8) -> Bool {
        contains(byte, 0x2fff_6ff2_0000_0000, 0x47ff_fffe_afff_fffe)
    }

    /// What a field value may hold: visible bytes, space, tab and obs-text, but no control byte.
    @inline(__always) static func isFieldValue(_ byte: UInt8) -> Bool {
        (byte >= 32 && byte != 127) || byte == 9
    }

    /// What a request target may hold: visible ASCII.
    @inline(__always) static func isTarget(_ byte: UInt8) -> Bool {
        byte > 32 && byte < 127
    }

    /// The value of a hexadecimal digit, or nil.
    @inline(__always) static func hexadecimal(_ byte: UInt8) -> Int? {
        switch byte {
        case 48...57: Int(byte) - 48
        case 65...70: Int(byte) - 55
        case 97...102: Int(byte) - 87
        default: nil
        }
    }

    /// The lower-case form of an ASCII letter; any other byte as it is.
    @inline(__always) static func lower(_ byte: UInt8) -> UInt8 {
        byte >= 65 && byte <= 90 ? byte | 0x20 : byte
    }

    @inline(__always) private static func contains(_ byte: UInt8, _ low: UInt64, _ high: UInt64) -> Bool {
        guard byte < 128 else { return false }
        return ((byte < 64 ? low : high) &>> UInt64(byte & 63)) & 1 == 1
    }
}

extension Span<UInt8> {
    /// Whether the bytes in `range` are `text` (which is lower case), whatever their case.
    @inline(__always) func matches(_ range: Range<Int>, _ text: StaticString) -> Bool {
        guard range.count == text.utf8CodeUnitCount else { return false }
        for offset in 0..<range.count where ByteClass.lower(self[range.lowerBound + offset]) != text.utf8Start[offset] {
            return false
        }
        return true
    }

    /// Whether the bytes in `range` are exactly `text`.
    @inline(__always) func equals(_ range: Range<Int>, _ text: StaticString) -> Bool {
        guard range.count == text.utf8CodeUnitCount else { return false }
        for offset in 0..<range.count where self[range.lowerBound + offset] != text.utf8Start[offset] {
            return false
        }
        return true
    }

    /// `range` without the spaces and tabs at its ends.
    @inline(__always) func trimmed(_ range: Range<Int>) -> Range<Int> {
        var start = range.lowerBound
        var end = range.upperBound
        while start < end, self[start] == 32 || self[start] == 9 { start += 1 }
        while end > start, self[end - 1] == 32 || self[end - 1] == 9 { end -= 1 }
        return start..<end
    }
}
