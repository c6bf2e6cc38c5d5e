import Crypto
import DeploymentCore
import Foundation

/// Everything that lands in the app folder, with one digest: equal digests are equal deployments.
public struct Bundle: Sendable, Equatable, Codable {
    /// 64 hex digits over paths, modes and contents of app, model and rendered files; smoke files do not count.
    public let digest: String
    /// The files from beside the manifest and downloaded ones, sorted by path.
    public let files: [FileEntry]
    /// Rendered files by path; mode 0644.
    public let rendered: [String: [UInt8]]

    /// Puts a bundle together.
    ///
    /// - Throws: `artifact` when two files want the same place, or one lies where another needs a folder.
    public init(files: [FileEntry], rendered: [String: [UInt8]] = [:]) throws(BerthError) {
        let placed = files.filter { $0.kind != .smoke }
        var lines: [String: String] = [:]
        for file in placed {
            guard lines[file.path] == nil else {
                throw BerthError(.artifact, "two files would land at \(file.path)")
            }
            lines[file.path] = "\(file.executable ? "755" : "644") \(file.sha256)"
        }
        for (path, bytes) in rendered {
            guard lines[path] == nil else {
                throw BerthError(
                    .artifact, "\(path) is written by berth, but a file of yours would land there too",
                    suggestion: "give yours another target")
            }
            lines[path] = "644 \(SHA256.hash(data: Data(bytes)).hex)"
        }
        for path in lines.keys {
            var parent = path.parentPath
            while !parent.isEmpty {
                guard lines[parent] == nil else {
                    throw BerthError(.artifact, "\(parent) would have to be a file and the folder of \(path)")
                }
                parent = parent.parentPath
            }
        }
        var hasher = SHA256()
        for (path, line) in lines.sorted(by: { Array($0.key.utf8).lexicographicallyPrecedes(Array($1.key.utf8)) }) {
            hasher.update(data: Data("\(path)\u{0}\(line)\n".utf8))
        }
        digest = hasher.finalize().hex
        self.files = files.sorted { ($0.path, $0.kind.rawValue) < ($1.path, $1.kind.rawValue) }
        self.rendered = rendered
    }

    /// The digests of the blobs that it needs, each once: what `BlobStore.missing` is asked for and garbage keeps.
    public var blobs: [String] { Set(files.map(\.sha256)).sorted() }
}
