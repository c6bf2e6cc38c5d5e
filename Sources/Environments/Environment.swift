/// Installed packages in a read-only folder: a virtual environment that works wherever it is mounted.
///
/// Its files share their inodes with uv's cache and with other environments: never mount it writable.
public struct Environment: Sendable, Equatable {
    /// The key: 64 hex digits over the lock, the interpreter, uv and the layout.
    public let digest: String
    /// The folder; absolute.
    public let path: String
    /// The interpreter to start: `<path>/bin/python`. Absolute.
    public let python: String
    /// The folder that must be visible at the same place for the interpreter to run; nil when it is under `/usr`.
    public let interpreterPrefix: String?
    /// The interpreter's version, as `3.11.7`.
    public let pythonVersion: String
    /// Whether it was there before.
    public let reused: Bool
    /// How many packages are installed.
    public let packages: Int
}
