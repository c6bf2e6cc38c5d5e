/// Content in the blob store.
public struct Blob: Sendable, Equatable {
    /// The sha256 of the content, 64 lower-case hex digits.
    public let digest: String
    /// The size in bytes.
    public let size: Int64
    /// The absolute path of the file; mode 0444.
    public let path: String
}
