/// One file of a bundle.
public struct FileEntry: Sendable, Equatable, Codable {
    /// Where it lands, relative to the app folder; for smoke files the path as the manifest writes it.
    public var path: String
    /// The absolute path on this machine that it is read from.
    public var source: String
    /// The size in bytes.
    public var size: Int64
    /// 64 lower-case hex digits.
    public var sha256: String
    /// Whether it is started as a program; every other mode bit is dropped.
    public var executable: Bool
    /// What it is for.
    public var kind: Kind
    /// The target of the model directory that it belongs to, relative to the app folder; nil for single files.
    public var root: String?

    /// What a file is for.
    public enum Kind: String, Sendable, Equatable, Codable {
        /// Own code: copied into the private app folder.
        case app
        /// A model file: mounted read-only.
        case model
        /// Sent by a smoke test: stays outside the sandbox.
        case smoke
    }

    /// Creates an entry.
    public init(
        path: String, source: String, size: Int64, sha256: String, executable: Bool = false, kind: Kind,
        root: String? = nil
    ) {
        self.path = path
        self.source = source
        self.size = size
        self.sha256 = sha256
        self.executable = executable
        self.kind = kind
        self.root = root
    }

    /// A downloaded model file.
    public init(model blob: Blob, path: String) {
        self.init(path: path, source: blob.path, size: blob.size, sha256: blob.digest, kind: .model)
    }
}
