import DeploymentCore
import Foundation
import Glibc

/// Files that clients uploaded for COPY, by the hash that the client gave them.
public struct ArchiveFolder: Sendable {
    /// The largest upload, in bytes.
    public static let maximumBytes: Int64 = 8 << 30
    /// How many are kept; those used longest ago go first.
    public static let maximumCount = 256

    /// The folder, of this user alone.
    public let folder: String

    /// Names the folder, which is made when something is written.
    public init(folder: String) { self.folder = folder }

    /// The file of a hash; nil when there is none, or the hash is none.
    public func path(of hash: String) -> String? {
        guard Self.isHash(hash) else { return nil }
        let path = "\(folder)/\(hash)"
        guard access(path, R_OK) == 0 else { return nil }
        utimensat(AT_FDCWD, path, nil, 0)
        return path
    }

    /// Whether a text is SHA-256 in lower-case hexadecimal digits.
    public static func isHash(_ text: String) -> Bool {
        text.utf8.count == 64
            && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
    }

    /// Stores what `fill` delivers under a hash, in the place of what was there.
    ///
    /// - Throws: what `fill` throws, `storage_full`, `too_large`; nothing is left then.
    public func store(_ hash: String, _ fill: (_ deliver: ([UInt8]) throws -> Void) async throws -> Void) async throws {
        guard Self.isHash(hash) else { throw BerthError(.usage, "'\(hash.prefix(100))' is not a hash") }
        let draft = try Draft(folder: folder, prefix: ".new-")
        do {
            var length: Int64 = 0
            try await fill { bytes in
                length += Int64(bytes.count)
                guard length <= Self.maximumBytes else {
                    throw BerthError(.tooLarge, "the upload is larger than \(Self.maximumBytes) bytes")
                }
                try draft.append(bytes) { Glibc.write($0, $1.baseAddress, $1.count) }
            }
            try await ArchiveStore.blocking { try draft.seal() }
            try draft.publish(as: "\(folder)/\(hash)")
        } catch {
            draft.discard()
            throw error
        }
        prune()
    }

    /// Removes drafts of an earlier control plane; for the start.
    public func sweep() {
        for name in names where name.hasPrefix(".new-") { unlink("\(folder)/\(name)") }
    }

    private var names: [String] { (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [] }

    private func prune() {
        let all = names.filter(Self.isHash)
        guard all.count > Self.maximumCount else { return }
        let aged = all.map { name -> (String, Int) in
            var status = stat()
            return (name, stat("\(folder)/\(name)", &status) == 0 ? status.st_mtim.tv_sec : 0)
        }
        for (name, _) in aged.sorted(by: { $0.1 > $1.1 }).dropFirst(Self.maximumCount) { unlink("\(folder)/\(name)") }
    }
}
