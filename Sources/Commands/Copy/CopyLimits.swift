/// How much one `berth cp` takes before it assumes that something is wrong.
enum CopyLimits {
    /// Folders within folders.
    static let depth = 64
    /// Files, folders and links together.
    static let entries = 1_000_000
    /// The bytes of one file: 1 TiB.
    static let fileSize: Int64 = 1 << 40
    /// The bytes that are read at once.
    static let part = 256 << 10
}
