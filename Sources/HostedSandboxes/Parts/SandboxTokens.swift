import Crypto
import DeploymentCore
import Foundation

/// The secrets of sandboxes: made from their ids, so that they are the same after a pause and after a restart.
public struct SandboxTokens: Sendable {
    /// The bytes of a seed.
    public static let seedLength = 32
    private let key: SymmetricKey

    /// Takes a seed of `seedLength` random bytes, which nobody else may know.
    public init(seed: [UInt8]) { key = SymmetricKey(data: seed) }

    /// What a sandbox's agent wants to see.
    public func agentToken(_ sandbox: String) -> String { token("agent", sandbox) }

    /// What a sandbox's ports want to see.
    public func trafficToken(_ sandbox: String) -> String { token("traffic", sandbox) }

    /// What whoever reads and writes a volume's contents shows.
    public func volumeToken(_ volume: String) -> String { token("volume", volume) }

    private func token(_ purpose: String, _ sandbox: String) -> String {
        let code = HMAC<Crypto.SHA256>.authenticationCode(for: Data("\(purpose):\(sandbox)".utf8), using: key)
        return code.map { $0 < 16 ? "0" + String($0, radix: 16) : String($0, radix: 16) }.joined()
    }
}
