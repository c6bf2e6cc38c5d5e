/// What permits one file operation without the access token, by its place in a URL.
public enum FileSignature {
    /// What is permitted.
    public enum Operation: String, Sendable {
        case read
        case write
    }

    /// The signature, as the query parameter `signature` has it before percent-encoding.
    ///
    /// - Parameters:
    ///   - path: as it stands in the query, not resolved; empty for an upload without one.
    ///   - user: as it stands in the query, empty without one.
    ///   - token: the sandbox's access token.
    ///   - expiration: the second of Unix time after which it permits nothing; nil for never.
    public static func make(
        path: String, _ operation: Operation, user: String = "", token: String, expiration: Int64? = nil
    ) -> String {
        var parts = [path, operation.rawValue, user, token]
        if let expiration { parts.append(String(expiration)) }
        let digest = SHA256.hash(Array(parts.joined(separator: ":").utf8))
        return "v1_" + String(decoding: Base64.encode(digest).prefix { $0 != UInt8(ascii: "=") }, as: UTF8.self)
    }
}
