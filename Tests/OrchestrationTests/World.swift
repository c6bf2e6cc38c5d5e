import AppTemplates
import Artifacts
import BerthTestSupport
import ControlAPI
import CurlClient
import DeploymentCore
import DeploymentStore
import Foundation
import Gateway
import HealthProbing
import Sandboxes
import Testing
import Waiting

@testable import Orchestration

/// A control plane without a machine: the real store, gateway, prober and service on a scripted provider.
struct World: Sendable {
    let folder: String
    let provider: ScriptedProvider
    /// A provider that cannot show folders of this machine.
    let remote: ScriptedProvider
    let workshop: Workshop
    let service: DeploymentService
    let curl: CurlClient
    let gateway: Gateway

    static let templates = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "templates").path(percentEncoded: false)

    static let manifest = """
        name: sum
        model: predict.py
        health: {startup_timeout: 10s}
        smoke:
          - name: adds
            request: {input: [1, 2]}
            expect: {prediction: [3]}
        """

    /// The same where a probe that a moved clock ends says nothing.
    static let patient = manifest.replacing(
        "startup_timeout: 10s", with: "startup_timeout: 10s, failure_threshold: 100")

    /// - Parameter clock: the clock of every wait, and with it the wall clock; nil is the real ones.
    static func with(_ clock: TestClock? = nil, _ body: (World) async throws -> Void) async throws {
        try await withTemporaryFolder { folder in
            let provider = ScriptedProvider()
            let remote = ScriptedProvider(name: "e2b", showsHostFolders: false)
            let world = try await World(folder: folder, provider: provider, remote: remote, clock: clock)
            do {
                try await body(world)
            } catch {
                provider.heal()
                remote.heal()
                await world.close()
                throw error
            }
            provider.heal()
            remote.heal()
            await world.close()
            #expect(provider.live.isEmpty)
            #expect(remote.live.isEmpty)
        }
    }

    init(
        folder: String, provider: ScriptedProvider, remote: ScriptedProvider, clock: TestClock? = nil
    ) async throws {
        self.folder = folder
        self.provider = provider
        self.remote = remote
        curl = CurlClient()
        gateway = Gateway(configuration: Gateway.Configuration(host: "127.0.0.1", port: 0))
        let port = try await gateway.start()
        let now: @Sendable () -> Int64 = {
            clock.map { Int64($0.now.offset.milliseconds) } ?? Int64(Date().timeIntervalSince1970 * 1_000)
        }
        let blobs = try BlobStore(folder: "\(folder)/blobs", curl: curl)
        workshop = Workshop(
            store: try DeploymentStore(path: "\(folder)/berth.sqlite"), provider: provider, remoteProviders: [remote],
            gateway: gateway,
            gatewayPort: port, environments: NoPackages(), blobs: blobs,
            bundles: try BundleStore(folder: "\(folder)/bundles", blobs: blobs),
            templates: try TemplateCatalog(folder: Self.templates), prober: Prober(client: curl),
            liveness: LivenessProber(client: curl), smoke: SmokeRunner(client: curl),
            logs: try LogBook(folder: "\(folder)/logs", now: now), now: now,
            clock: clock ?? ContinuousClock(), standbyLimit: 0)
        service = DeploymentService(workshop: workshop)
    }

    func close() async {
        await service.close()
        _ = await service.removeSandboxes()
        await gateway.stop(grace: .zero)
        curl.close()
    }

    /// Begins a rollout of the manifest with its one file.
    func submit(
        _ manifest: String = World.manifest, _ kind: DeployRequest.Kind = .deploy
    ) async throws -> RolloutResource {
        let blob = try await workshop.blobs.add(Array("def predict(input):\n    return sum(input)\n".utf8))
        let file = BundleFile(path: "predict.py", sha256: blob.digest, size: blob.size, role: .model)
        return try await service.submit(
            DeployRequest(manifest: manifest, file: "manifest.yaml", lock: "", files: [file], kind: kind))
    }

    /// Waits for the verdict of a rollout.
    func verdict(_ id: String) async throws -> RolloutResource {
        while true {
            let version = service.changed.version
            if await !service.isRunning(id) { return try await service.rollout(id) }
            await service.changed.wait(after: version)
        }
    }

    /// A second control plane on the same folder and the same sandboxes.
    func restarted(_ clock: TestClock? = nil) async throws -> World {
        await service.close()
        let next = try await World(folder: folder, provider: provider, remote: remote, clock: clock)
        #expect(try await next.service.recover().isEmpty)
        return next
    }

    /// Puts the deployment `sum` to sleep, as when nobody has asked anything for a while.
    func putToSleep() async throws {
        // An answer reaches its client just before it is counted.
        await service.tasksSettled { gateway.statistics("sum")?.inFlight == 0 }
        let uses = gateway.statistics("sum")?.uses ?? 0
        try await service.putToSleep("sum", uses: uses, previous: nil)
    }

    /// What happened to `sum`, by its kinds.
    func lifecycle() throws -> [String] {
        try service.lifecycle(of: "sum", after: 0, limit: 100).map(\.kind)
    }

    func state() async throws -> String { try await service.deployment("sum").state }

    /// The status and the revision that the gateway answers for a path.
    func get(
        _ path: String
    ) async throws -> (status: Int, revision: String?, body: String, retryAfter: String?) {
        let request = HTTPRequest(
            url: "http://127.0.0.1:\(workshop.gatewayPort)\(path)", transport: .network(.loopback))
        let reply = try await curl.send(request)
        return (
            reply.status, reply.headers["X-Berth-Revision"], String(decoding: reply.body, as: UTF8.self),
            reply.headers["Retry-After"]
        )
    }
}

/// An environment that needs nothing.
struct NoPackages: EnvironmentBuilding {
    func removeUnused(keeping digests: Set<String>) async throws {}

    func environment(
        lock: String, python: String?, progress: @escaping @Sendable (String) -> Void
    ) async throws -> BuiltEnvironment {
        BuiltEnvironment(
            digest: String(repeating: "0", count: 64), folder: "/usr", interpreterFolder: nil, packages: 0,
            isReused: true)
    }
}
