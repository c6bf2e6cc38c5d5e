import DeploymentCore
import HostedSandboxes

/// What clients of sandboxes show, and what their sandboxes' tokens are made from.
public enum HostedSecrets {
    private static let keyPrefix = "e2b_"
    private static let keyBytes = 20

    /// The API key of this home, made when there is none: `e2b_` and 40 hexadecimal digits, as every client takes it.
    ///
    /// - Throws: `internal_error` when the file can be read by others or not at all.
    public static func key(_ configuration: Configuration) throws -> String {
        try SecretFile(path: configuration.path("e2b.key"), name: "API key").load {
            keyPrefix + SecretFile.random(keyBytes)
        } isWhole: { text in
            text.hasPrefix(keyPrefix) && text.utf8.count == keyPrefix.utf8.count + keyBytes * 2
                && String(text.dropFirst(keyPrefix.count)).isHexadecimal
        }
    }

    /// The secrets of sandboxes, which stay the same as long as the file of their seed does.
    static func tokens(_ configuration: Configuration) throws -> SandboxTokens {
        let text = try SecretFile(path: configuration.path("e2b.seed"), name: "seed").load {
            SecretFile.random(SandboxTokens.seedLength)
        } isWhole: { text in
            text.utf8.count == SandboxTokens.seedLength * 2 && text.isHexadecimal
        }
        let digits = Array(text)
        return SandboxTokens(
            seed: stride(from: 0, to: digits.count, by: 2).compactMap {
                UInt8(String(digits[$0...($0 + 1)]), radix: 16)
            })
    }
}
