import DeploymentCore
import DeploymentStore
import Sandboxes

/// The files of a sandbox of which nothing else is left, as its record has them.
public struct KeptFiles: Sendable, Equatable {
    /// The digest of their archive.
    public var archive: String
    /// What the sandbox was made from, as JSON.
    public var content: String

    /// Creates a description.
    public init(archive: String, content: String) {
        self.archive = archive
        self.content = content
    }
}

/// What keeps the files of sandboxes that are paused without their memory.
public protocol FileKeeping: Sendable {
    /// Stores the files of a running sandbox whose processes stand still from then on; they stay stored until `settle`,
    /// and after it while a record names them.
    ///
    /// - Parameter token: What the agent asks for; nil for one that asks for nothing.
    /// - Throws: `storage_full` when the disk is full, `sandbox` when the files cannot be read, and a `ControlFailure` when
    ///   what it was made from is not known any more. Nothing is stored then, and the processes go on.
    func keep(_ sandbox: any Sandbox, of record: HostedSandboxRecord, token: String?) async throws -> KeptFiles

    /// Lets the processes go on that `keep`, cut short by a crash, left standing still.
    func release(_ sandbox: any Sandbox, of record: HostedSandboxRecord, token: String?) async throws

    /// What a sandbox is made from again: what it was made from, with its files.
    ///
    /// - Throws: a `ControlFailure` when that is gone.
    func image(of files: KeptFiles, of record: HostedSandboxRecord) async throws -> SandboxImage

    /// Ends what `keep` began: files that no record names are removed.
    func settle(_ files: KeptFiles)

    /// Removes files, unless another record names them; what cannot be removed now is at the next start.
    func remove(_ archive: String)
}
