/// Standard base64 (RFC 4648, with padding) without Foundation.
public enum Base64 {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    private static let invalid: UInt8 = 0xFF

    /// Values by character; the URL-safe characters count as well, as proto3 JSON asks of readers.
    private static let values: [UInt8] = {
        var table = [UInt8](repeating: invalid, count: 256)
        for (value, character) in alphabet.enumerated() { table[Int(character)] = UInt8(value) }
        table[Int(UInt8(ascii: "-"))] = 62
        table[Int(UInt8(ascii: "_"))] = 63
        return table
    }()

    /// The text of `bytes`, as ASCII.
    public static func encode(_ bytes: some Collection<UInt8>) -> [UInt8] {
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count + 2) / 3 * 4)
        append(bytes, to: &text)
        return text
    }

    /// Appends the text of `bytes` to `text`.
    public static func append(_ bytes: some Collection<UInt8>, to text: inout [UInt8]) {
        let done: Void? = bytes.withContiguousStorageIfAvailable { append($0, to: &text) }
        if done == nil { Array(bytes).withUnsafeBufferPointer { append($0, to: &text) } }
    }

    private static func append(_ bytes: UnsafeBufferPointer<UInt8>, to text: inout [UInt8]) {
        let padding = UInt8(ascii: "=")
        alphabet.withUnsafeBufferPointer { letters in
            var index = 0
            while index < bytes.count {
                let left = bytes.count - index
                let second = left > 1 ? bytes[index + 1] : 0
                let third = left > 2 ? bytes[index + 2] : 0
                text.append(letters[Int(bytes[index] >> 2)])
                text.append(letters[Int((bytes[index] & 3) << 4 | second >> 4)])
                text.append(left > 1 ? letters[Int((second & 15) << 2 | third >> 6)] : padding)
                text.append(left > 2 ? letters[Int(third & 63)] : padding)
                index += 3
            }
        }
    }

    /// The bytes of `text`; padding may be missing. nil when it is not base64.
    public static func decode(_ text: some Collection<UInt8>) -> [UInt8]? {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count / 4 * 3 + 2)
        var pending: UInt32 = 0
        var count = 0
        var padding = 0
        for character in text {
            if character == UInt8(ascii: "=") {
                padding += 1
                continue
            }
            let value = values[Int(character)]
            guard value != invalid, padding == 0 else { return nil }
            pending = pending << 6 | UInt32(value)
            count += 1
            if count % 4 == 0 {
                bytes.append(UInt8(truncatingIfNeeded: pending >> 16))
                bytes.append(UInt8(truncatingIfNeeded: pending >> 8))
                bytes.append(UInt8(truncatingIfNeeded: pending))
            }
        }
        guard padding == 0 || (count + padding) % 4 == 0, padding < 3 else { return nil }
        switch count % 4 {
        case 1: return nil
        case 2: bytes.append(UInt8(truncatingIfNeeded: pending >> 4))
        case 3:
            bytes.append(UInt8(truncatingIfNeeded: pending >> 10))
            bytes.append(UInt8(truncatingIfNeeded: pending >> 2))
        default: break
        }
        return bytes
    }
}
