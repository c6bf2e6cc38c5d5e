import DeploymentCore

/// A revision with everything it consists of.
public struct RevisionDetail: Codable, Sendable, Equatable {
    /// Its place in the history.
    public var revision: RevisionResource
    /// The manifest.
    public var manifest: Manifest
    /// Every file with its digest.
    public var files: [BundleFile]
    /// The lock of its requirements.
    public var lock: String

    /// Creates a detail.
    public init(revision: RevisionResource, manifest: Manifest, files: [BundleFile], lock: String) {
        self.revision = revision
        self.manifest = manifest
        self.files = files
        self.lock = lock
    }
}
