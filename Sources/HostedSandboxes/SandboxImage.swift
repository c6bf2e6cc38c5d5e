import DeploymentCore
import Sandboxes

/// What a sandbox is made from: a template as it was built, or a snapshot.
public struct SandboxImage: Sendable, Equatable {
    /// The id that clients see as `templateID`.
    public var template: String
    /// The id of the build.
    public var build: String
    /// The template's name; nil for what has none.
    public var alias: String?
    /// Host folders to show read-only inside.
    public var mounts: [SandboxSpecification.Mount]
    /// A tar file on the host whose content is unpacked over `/` inside before anything starts; nil for none.
    public var archive: String?
    /// Variables of every process, below those of the sandbox's creator.
    public var environment: [String: String]
    /// The user that processes belong to unless they say otherwise.
    public var user: String
    /// Where processes start unless they say otherwise; nil is the user's home.
    public var workdir: String?
    /// A command that is started with the sandbox and goes on; nil for none.
    public var startCommand: String?
    /// A command that ends with 0 once the start command is ready; nil for none.
    public var readyCommand: String?
    /// Processors of a sandbox made from it.
    public var processors: Int
    /// Memory of a sandbox made from it, in MiB.
    public var memoryMiB: Int

    /// What a sandbox has unless its template says otherwise.
    public static let defaultProcessors = 2
    /// The same, in MiB.
    public static let defaultMemoryMiB = 512

    /// Creates an image; only the template's id is always its own.
    public init(
        template: String, build: String, alias: String? = nil, mounts: [SandboxSpecification.Mount] = [],
        archive: String? = nil, environment: [String: String] = [:], user: String = "user", workdir: String? = nil,
        startCommand: String? = nil, readyCommand: String? = nil, processors: Int = defaultProcessors,
        memoryMiB: Int = defaultMemoryMiB
    ) {
        self.template = template
        self.build = build
        self.alias = alias
        self.mounts = mounts
        self.archive = archive
        self.environment = environment
        self.user = user
        self.workdir = workdir
        self.startCommand = startCommand
        self.readyCommand = readyCommand
        self.processors = processors
        self.memoryMiB = memoryMiB
    }
}

/// What knows images by the names that clients use.
public protocol ImageCatalog: Sendable {
    /// The image of an id, an alias, `alias:tag`, `namespace/alias:tag` or the id of a snapshot.
    ///
    /// - Throws: a `ControlFailure`: 404 when there is none, 400 for a malformed name.
    func image(_ reference: String) async throws -> SandboxImage
}
