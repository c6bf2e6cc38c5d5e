/// One file of a bundle: where it lands, and the blob it is.
public struct BundleFile: Codable, Sendable, Equatable {
    /// The path relative to the app folder, with `/` and without `..`.
    public var path: String
    /// The digest of its bytes, 64 lower-case hex digits.
    public var sha256: String
    /// The size in bytes.
    public var size: Int64
    /// Whether it may be executed.
    public var isExecutable: Bool
    /// What it is for.
    public var role: Role

    /// The model folder that it belongs to, relative to the app folder; nil for single files.
    public var root: String?

    /// What a file is for.
    public enum Role: String, Codable, Sendable {
        /// The app's code: written into the sandbox.
        case app
        /// A model file: mounted read-only where the provider can.
        case model
        /// Sent by a smoke test; never in the sandbox.
        case smoke
    }

    /// Creates a file.
    public init(path: String, sha256: String, size: Int64, isExecutable: Bool = false, role: Role, root: String? = nil)
    {
        self.path = path
        self.sha256 = sha256
        self.size = size
        self.isExecutable = isExecutable
        self.role = role
        self.root = root
    }
}
