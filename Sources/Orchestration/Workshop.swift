import AppTemplates
import Artifacts
import ControlAPI
import DeploymentCore
import DeploymentStore
import Gateway
import HealthProbing
import Sandboxes
import Waiting

/// What every rollout works with: the store, the provider, the gateway and the tools between them.
public struct Workshop: Sendable {
    /// The memory.
    public let store: DeploymentStore
    /// What makes sandboxes on this machine.
    public let provider: any SandboxProvider
    /// What makes them elsewhere.
    public let remoteProviders: [any SandboxProvider]
    /// What carries the traffic.
    public let gateway: Gateway
    /// The port of 127.0.0.1 that the gateway listens on.
    public let gatewayPort: Int
    /// What installs dependencies.
    public let environments: any EnvironmentBuilding
    /// The bytes of every bundle.
    public let blobs: BlobStore
    /// The bundles' model folders.
    public let bundles: BundleStore
    /// The app templates.
    public let templates: TemplateCatalog
    /// What proves health before promotion.
    public let prober: Prober
    /// What watches it afterwards.
    public let liveness: LivenessProber
    /// What runs smoke predictions.
    public let smoke: SmokeRunner
    /// What the apps print.
    public let logs: LogBook
    /// Wakes those who follow rollouts.
    public let changed: Signal
    /// What is ready to become the next replica.
    let standbys: StandbyPool
    /// When deployments are destroyed by themselves.
    let expiries: ExpiryWheel
    /// Held while the store and the gateway change together, so that two changes of one deployment cannot cross.
    /// The one lock that is held across a write to the store: promotions are few and their order is the point.
    let traffic = Locked(())
    /// Milliseconds since 1970, for records only; waits use `clock`.
    public let now: @Sendable () -> Int64
    /// The clock of every wait.
    public let clock: any Clock<Duration>

    /// The standbys of all deployments together, unless the control plane is told otherwise.
    public static let defaultStandbyLimit = 8

    /// Puts the workshop together; `standbyLimit` bounds the standbys of all deployments together.
    public init(
        store: DeploymentStore, provider: any SandboxProvider, remoteProviders: [any SandboxProvider] = [],
        gateway: Gateway, gatewayPort: Int,
        environments: any EnvironmentBuilding, blobs: BlobStore, bundles: BundleStore, templates: TemplateCatalog,
        prober: Prober, liveness: LivenessProber, smoke: SmokeRunner, logs: LogBook,
        now: @escaping @Sendable () -> Int64,
        clock: any Clock<Duration> = ContinuousClock(), standbyLimit: Int = Workshop.defaultStandbyLimit
    ) {
        self.store = store
        self.provider = provider
        self.remoteProviders = remoteProviders
        self.gateway = gateway
        self.gatewayPort = gatewayPort
        self.environments = environments
        self.blobs = blobs
        self.bundles = bundles
        self.templates = templates
        self.prober = prober
        self.liveness = liveness
        self.smoke = smoke
        self.logs = logs
        self.changed = Signal()
        self.standbys = StandbyPool(
            provider: provider, program: templates.standbyProgram, limit: standbyLimit, clock: clock)
        self.expiries = ExpiryWheel(clock: clock, now: now)
        self.now = now
        self.clock = clock
    }

    /// All that make sandboxes.
    var providers: [any SandboxProvider] { [provider] + remoteProviders }

    /// What makes the sandboxes of a manifest.
    ///
    /// - Throws: `sandbox` when it is not set up here.
    func provider(of manifest: Manifest) throws -> any SandboxProvider {
        guard let name = manifest.provider?.name, name != .local else { return provider }
        guard let found = remoteProviders.first(where: { $0.name == name.rawValue }) else {
            throw BerthError(
                .sandbox, "the provider \(name.rawValue) is not set up in this control plane",
                suggestion: "end it with `berth down --keep-sandboxes`, and start it with E2B_API_KEY set")
        }
        return found
    }

    /// Where the gateway listens, as `http://127.0.0.1:4999`.
    var gatewayURL: String { "http://127.0.0.1:\(gatewayPort)" }
}

/// What installs a lock's packages once and keeps them.
public protocol EnvironmentBuilding: Sendable {
    /// The environment of a lock; built once even when many ask at the same time.
    func environment(
        lock: String, python: String?, progress: @escaping @Sendable (String) -> Void
    ) async throws -> BuiltEnvironment

    /// Removes the environments that are not among `digests` and that nobody has used for a while.
    func removeUnused(keeping digests: Set<String>) async throws
}

/// Installed packages, ready to be shown read-only in a sandbox.
public struct BuiltEnvironment: Sendable, Equatable {
    /// The digest it is addressed by.
    public var digest: String
    /// The folder on the host: a virtual environment.
    public var folder: String
    /// Where a Python outside `/usr` lives, which the sandbox has to see at the same path.
    public var interpreterFolder: String?
    /// How many packages it holds.
    public var packages: Int
    /// Whether it was there already.
    public var isReused: Bool
    /// Whether `folder` is a path inside the sandbox, where the packages are installed, and nothing is shown.
    public var isInside = false

    /// Creates a description.
    public init(digest: String, folder: String, interpreterFolder: String?, packages: Int, isReused: Bool) {
        self.digest = digest
        self.folder = folder
        self.interpreterFolder = interpreterFolder
        self.packages = packages
        self.isReused = isReused
    }

    /// Where a sandbox shows it.
    public static let target = "/opt/env"

    /// The mounts that a sandbox needs for it.
    public var mounts: [SandboxSpecification.Mount] {
        isInside
            ? []
            : [SandboxSpecification.Mount(source: folder, target: Self.target)]
                + (interpreterFolder.map { [SandboxSpecification.Mount(source: $0, target: $0)] } ?? [])
    }
}
