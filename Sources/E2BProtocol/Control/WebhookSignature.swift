/// What proves that a delivery comes from who knows the webhook's secret (protocol note 5.4).
///
/// It is the plain SHA-256 of the secret and the body, not an HMAC, and holds no time: a receiver has to ignore ids of
/// events that it has seen, and deliveries that are old.
public enum WebhookSignature {
    /// What `e2b-signature-version` says.
    public static let version = "v1"
    /// The longest signature that is looked at, in bytes; a right one has 43 or 44.
    static let maximumLength = 64

    /// The signature of a body: standard base64 without padding.
    public static func make(secret: String, body: [UInt8]) -> String {
        let digest = SHA256.hash(Array(secret.utf8) + body)
        return String(decoding: Base64.encode(digest).prefix { $0 != UInt8(ascii: "=") }, as: UTF8.self)
    }

    /// Whether a signature is the one of the body, as it was received and before any parsing.
    ///
    /// The URL-safe alphabet and padding are accepted. The time does not depend on where the signature is wrong. An empty
    /// secret matches nothing.
    public static func matches(_ signature: String, secret: String, body: [UInt8]) -> Bool {
        let expected = SHA256.hash(Array(secret.utf8) + body)
        guard !secret.isEmpty, signature.utf8.count <= maximumLength,
            let given = Base64.decode(signature.utf8), given.count == expected.count
        else { return false }
        return zip(given, expected).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
    }
}
