import Crypto
import DeploymentCore
import Foundation

extension BlobStore {
    /// The SHA-256 of bytes, as 64 lower-case hex digits.
    public static func digest(of bytes: [UInt8]) -> String { SHA256.hash(data: bytes).hex }

    /// Takes bytes in that are in memory already.
    public func add(_ bytes: [UInt8]) async throws -> Blob {
        let chunks = AsyncStream { stream in
            stream.yield(bytes)
            stream.finish()
        }
        return try await add(chunks, digest: Self.digest(of: bytes))
    }

    /// Reads a whole blob into memory: for app code, never for models.
    ///
    /// - Throws: `artifact` when it is not there.
    public func read(_ digest: String) async throws -> [UInt8] {
        guard let path = path(of: digest), let data = FileManager.default.contents(atPath: path) else {
            throw BerthError(
                .artifact, "the bytes with sha256 \(digest.prefix(12))… are gone", suggestion: "deploy again")
        }
        return Array(data)
    }
}
