import CurlClient
import DeploymentCore
import E2BProtocol
import Sandboxes
import Waiting

/// Sandboxes of an E2B service.
///
/// It finds its own again by their metadata, keeps them alive as long as `run()` runs, and knows them by our ids: theirs
/// are learned from the service.
public final class E2BProvider: SandboxProvider {
    /// How sandboxes are made.
    public struct Settings: Sendable, Equatable {
        /// What all sandboxes of this control plane carry, and no others.
        public var owner: String
        /// The template where a manifest names none.
        public var template: String
        /// The seconds that a sandbox lives unless its time is extended.
        public var timeout: Int64

        /// The template where nobody names one.
        public static let defaultTemplate = "base"
        /// The seconds that a sandbox lives where nobody says more; what E2B's own clients ask for.
        public static let defaultTimeout: Int64 = 300
        /// The seconds that may be asked for.
        public static let timeoutRange: ClosedRange<Int64> = 30...86_400

        /// Creates settings.
        public init(
            owner: String, template: String = defaultTemplate, timeout: Int64 = defaultTimeout
        ) {
            self.owner = owner
            self.template = template
            self.timeout = timeout
        }

        /// Reads `E2B_DEFAULT_TEMPLATE` and `E2B_DEFAULT_TIMEOUT`.
        ///
        /// - Throws: `usage` for a time that is none.
        public init(owner: String, environment: [String: String]) throws {
            self.init(owner: owner)
            if let name = environment["E2B_DEFAULT_TEMPLATE"], !name.isEmpty { template = name }
            guard let text = environment["E2B_DEFAULT_TIMEOUT"], !text.isEmpty else { return }
            guard let seconds = Int64(text), Self.timeoutRange.contains(seconds) else {
                let range = Self.timeoutRange
                throw BerthError(
                    .usage,
                    "E2B_DEFAULT_TIMEOUT is \(VisibleText.of(text)), but has to be a number of seconds from "
                        + "\(range.lowerBound) to \(range.upperBound)")
            }
            timeout = seconds
        }
    }

    /// `e2b`.
    public let name = "e2b"
    /// No host folder can be shown in these sandboxes.
    public let showsHostFolders = false
    let client: E2BClient
    let settings: Settings
    let clock: any Clock<Duration>
    /// When sandboxes have to be extended, and doubtful ones looked for.
    let times: ExpiryWheel
    let now: @Sendable () -> Int64
    let announce: @Sendable (String) -> Void
    let sandboxes = Locked<[String: E2BSandbox]>([:])

    /// Creates a provider; nothing is asked yet.
    ///
    /// - Parameters:
    ///   - clock: paces all waits.
    ///   - now: the wall clock, in milliseconds since 1970.
    ///   - announce: told what the owner of the machine should know.
    public init(
        client: E2BClient, settings: Settings, clock: any Clock<Duration> = ContinuousClock(),
        now: @escaping @Sendable () -> Int64, announce: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.client = client
        self.settings = settings
        self.clock = clock
        self.now = now
        self.announce = announce
        times = ExpiryWheel(clock: clock, now: now)
    }

    /// What E2B gives: virtual machines without our limits, and a network that is opened as manifests say.
    ///
    /// Its sandboxes keep an app further away than namespaces do; there is no stronger word that we could vouch for.
    ///
    /// - Throws: `sandbox` for a demand beyond that, `unauthorized` when the key is not accepted.
    public func capabilities(demanding minimum: Isolation?) async throws -> SandboxCapabilities {
        if let minimum, minimum > .namespaces {
            throw BerthError(
                .sandbox, "the manifest demands isolation \(minimum.rawValue), which E2B does not offer",
                suggestion: "leave isolation out: E2B's sandboxes are virtual machines")
        }
        // Whether the key is accepted and the service answers, before anything is prepared for it.
        _ = try await client.page(E2BFilter(metadata: E2BLabels.all(of: settings.owner), limit: 1))
        return SandboxCapabilities(
            isolation: .namespaces, mounts: false, ownNetwork: true, ownsIdentities: true,
            enforced: EnforcedLimits(notes: ["E2B's templates decide how large a sandbox is"]), network: .filtered)
    }

    /// The sandboxes that this control plane made, running or paused.
    public func list() async throws -> [SandboxRecord] {
        var records: [String: SandboxRecord] = [:]
        for found in try await client.sandboxes(E2BFilter(metadata: E2BLabels.all(of: settings.owner))) {
            guard let ours = E2BLabels(found.metadata), ours.owner == settings.owner else { continue }
            records[ours.sandbox] = SandboxRecord(
                id: ours.sandbox, labels: ours.labels, isAlive: true, isPaused: found.state == .paused)
        }
        return records.values.sorted { $0.id < $1.id }
    }

    /// Takes hold of a sandbox; a paused one that was not paused by us is resumed by it.
    public func adopt(_ id: String) async throws -> any Sandbox {
        if let known = sandboxes.withLock({ $0[id] }) {
            if !known.isPaused { try await check(known) }
            return known
        }
        guard let found = try await find(id).first, let labels = E2BLabels(found.metadata) else { throw Self.gone(id) }
        let handle: SandboxHandle
        do {
            handle = try await client.connect(found.handle.sandbox, timeout: settings.timeout)
        } catch let error as BerthError where error.code == .notFound {
            throw Self.gone(id)
        }
        let sandbox = make(labels, handle, startedAt: found.startedAt.seconds)
        try await check(sandbox)
        hold(sandbox)
        return sandbox
    }

    private func check(_ sandbox: E2BSandbox) async throws {
        do {
            try await sandbox.envd.checkHealth(timeout: E2BSandbox.healthTimeout)
        } catch is BerthError {
            throw Self.gone(sandbox.id)
        }
    }

    private static func gone(_ id: String) -> BerthError {
        BerthError(.notFound, "sandbox \(id) is gone, or its agent does not answer any more")
    }

    /// - Throws: `sandbox`: nothing can be shown in a sandbox that runs.
    public func assign(
        _ id: String, labels: SandboxLabels, models: [SandboxSpecification.Mount]
    ) async throws -> [String: String] {
        throw BerthError(.sandbox, "sandboxes of E2B cannot be made ahead")
    }

    /// The service's sandboxes with one of our ids: none, one, or two after a creation whose answer was lost.
    func find(_ id: String) async throws -> [SandboxInformation] {
        try await client.sandboxes(E2BFilter(metadata: E2BLabels.one(id, of: settings.owner))).filter {
            E2BLabels($0.metadata)?.sandbox == id && E2BLabels($0.metadata)?.owner == settings.owner
        }
    }

    func make(_ labels: E2BLabels, _ handle: SandboxHandle, startedAt: Int64) -> E2BSandbox {
        E2BSandbox(
            labels: labels, handle: handle, startedAt: startedAt, client: client, timeout: settings.timeout,
            clock: clock, now: now)
    }
}
