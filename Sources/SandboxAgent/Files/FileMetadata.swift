import CPlatform
import E2BProtocol
import Glibc

/// What users note about a file, kept in its extended attributes.
enum FileMetadata {
    /// The longest key, in bytes; what is left of an attribute's name.
    static let keyLimit = 246
    /// The most bytes of all keys and values.
    static let totalLimit = 4096
    private static let headerPrefix = "x-metadata-"
    private static let attributePrefix = "user.e2b."
    /// The most bytes of all names of attributes (XATTR_LIST_MAX).
    private static let listLimit = 64 << 10

    /// The entries that a request brings.
    ///
    /// - Throws: `invalid_argument` for what cannot be stored.
    static func requested(_ head: RequestHead) throws(ConnectError) -> [String: String] {
        var entries: [String: String] = [:]
        var total = 0
        for (name, value) in head.headers where name.hasPrefix(headerPrefix) {
            let key = String(name.dropFirst(headerPrefix.count))
            guard !key.isEmpty, key.utf8.count <= keyLimit, isPrintable(key), isPrintable(value) else {
                throw ConnectError(
                    .invalidArgument, "metadata has keys of 1 to \(keyLimit) bytes, and only printable ASCII")
            }
            total += key.utf8.count + value.utf8.count
            entries[key] = value
        }
        guard total <= totalLimit else {
            throw ConnectError(.invalidArgument, "the metadata exceeds the limit of \(totalLimit) bytes")
        }
        return entries
    }

    private static func isPrintable(_ text: String) -> Bool { text.utf8.allSatisfy { (0x20...0x7E).contains($0) } }

    /// The entries of what a path leads to; none where the filesystem keeps none.
    static func read(_ path: String) -> [String: String] { read(descriptor: -1, path) }

    private static func read(descriptor: Int32, _ path: String) -> [String: String] {
        var entries: [String: String] = [:]
        for name in names(descriptor, path) {
            let bytes = [UInt8](unsafeUninitializedCapacity: totalLimit) { buffer, count in
                count = max(0, berth_attribute_get(descriptor, path, name, buffer.baseAddress, totalLimit))
            }
            guard let value = String(validating: bytes, as: UTF8.self) else { continue }
            entries[String(name.dropFirst(attributePrefix.count))] = value
        }
        return entries
    }

    private static func names(_ descriptor: Int32, _ path: String) -> [String] {
        let size = berth_attribute_list(descriptor, path, nil, 0)
        guard size > 0, size <= listLimit else { return [] }
        let bytes = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
            count = buffer.withMemoryRebound(to: CChar.self) {
                max(0, berth_attribute_list(descriptor, path, $0.baseAddress, size))
            }
        }
        return bytes.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }.filter {
            $0.hasPrefix(attributePrefix)
        }
    }

    /// Makes `entries` all that is noted about an open file; 0 or an errno.
    static func replace(on descriptor: Int32, with entries: [String: String]) -> Int32 {
        for name in names(descriptor, "") where entries[String(name.dropFirst(attributePrefix.count))] == nil {
            if case let error = berth_attribute_remove(descriptor, name), error < 0 { return -error }
        }
        for (key, value) in entries {
            let bytes = Array(value.utf8)
            if case let error = berth_attribute_set(descriptor, attributePrefix + key, bytes, bytes.count), error < 0 {
                return -error
            }
        }
        return 0
    }
}
