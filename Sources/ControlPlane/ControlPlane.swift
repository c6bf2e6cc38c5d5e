import AppTemplates
import Artifacts
import ControlAPI
import CurlClient
import DeploymentCore
import DeploymentStore
import Environments
import Foundation
import Gateway
import HealthProbing
import Hummingbird
import LocalSandbox
import Logging
import Orchestration
import Sandboxes
import ServiceLifecycle
import UnixSignals

/// The composition root: builds every part, recovers, serves until it is told to stop.
public struct ControlPlane: Sendable {
    /// The version of Berth.
    public static let version = "0.1.0"
    /// How long a stop waits for requests and connections before it cuts them.
    public static let stopGrace = Duration.seconds(10)

    private let configuration: Configuration
    private let environment: [String: String]

    /// Prepares a control plane; nothing is opened yet.
    public init(configuration: Configuration, environment: [String: String]) {
        self.configuration = configuration
        self.environment = environment
    }

    /// Serves until SIGTERM, SIGINT or a stop request; `ready` hears where once requests are answered.
    ///
    /// - Throws: `conflict` when another control plane has this home, or a port is taken.
    public func run(ready: @escaping @Sendable (Endpoint) -> Void) async throws {
        let token = try Token.load(from: configuration)
        let lock = try HomeLock(configuration.path("serve.lock"))
        defer { lock.release() }
        let curl = CurlClient()
        defer { curl.close() }
        let gateway = Gateway(
            configuration: Gateway.Configuration(host: Configuration.host, port: configuration.gatewayPort))
        let gatewayPort = try await gateway.start()
        do {
            let provider = LocalProvider(
                folder: configuration.path("sandboxes"), agent: configuration.agent,
                isolation: configuration.isolation, client: curl,
                announce: { FileHandle.standardError.write(Data("\($0)\n".utf8)) })
            let workshop = try await workshop(provider, gateway, gatewayPort, curl)
            let service = DeploymentService(workshop: workshop)
            let isolation = try await provider.capabilities().isolation
            try await service.recover()
            let stop = try await serve(service, workshop.blobs, token, gatewayPort, isolation, ready)
            await service.close(removingSandboxes: stop.isRemovingSandboxes)
        } catch {
            await gateway.stop(grace: .zero)
            throw error
        }
        await gateway.stop(grace: Self.stopGrace)
    }

    private func workshop(
        _ provider: any SandboxProvider, _ gateway: Gateway, _ gatewayPort: Int, _ curl: CurlClient
    ) async throws -> Workshop {
        let now: @Sendable () -> Int64 = { Int64(Date().timeIntervalSince1970 * 1_000) }
        let uv = try Uv.locate(home: configuration.home, environment: environment)
        let environments = EnvironmentStore(folder: configuration.path("environments"), uv: uv)
        try await environments.removeLeftovers()
        let blobs = try BlobStore(folder: configuration.path("blobs"), curl: curl)
        return Workshop(
            store: try DeploymentStore(path: configuration.path("berth.sqlite")), provider: provider,
            gateway: gateway, gatewayPort: gatewayPort,
            environments: LocalEnvironments(store: environments), blobs: blobs,
            bundles: try BundleStore(folder: configuration.path("bundles"), blobs: blobs),
            templates: try TemplateCatalog(folder: configuration.templates), prober: Prober(client: curl),
            liveness: LivenessProber(client: curl),
            smoke: SmokeRunner(client: curl), logs: try LogBook(folder: configuration.path("logs"), now: now), now: now)
    }

    /// How the serving ended.
    private struct Stop: Sendable {
        var isRemovingSandboxes = false
    }

    private func serve(
        _ service: DeploymentService, _ blobs: BlobStore, _ token: String, _ gatewayPort: Int,
        _ isolation: Isolation, _ ready: @escaping @Sendable (Endpoint) -> Void
    ) async throws -> Stop {
        let stop = Locked(Stop())
        let stopRequested = AsyncStream<Void>.makeStream()
        let routes = Routes(
            service: service,
            blobs: { digest, body in _ = try await blobs.add(body.bytes, digest: digest) },
            missingBlobs: { blobs.missing($0) },
            server: ServerResource(
                version: Self.version, pid: getpid(), gateway: "http://\(Configuration.host):\(gatewayPort)",
                isolation: isolation),
            stop: { keepingSandboxes in
                stop.withLock { $0.isRemovingSandboxes = !keepingSandboxes }
                stopRequested.continuation.yield()
            })
        var logger = Logger(label: "berth")
        logger.logLevel = .warning
        let configuration = configuration
        let application = Application(
            router: routes.router(token: token),
            configuration: ApplicationConfiguration(
                address: .hostname(Configuration.host, port: configuration.apiPort), serverName: nil),
            onServerRunning: { channel in
                let endpoint = Endpoint(
                    apiPort: channel.localAddress?.port ?? configuration.apiPort, gatewayPort: gatewayPort,
                    pid: getpid())
                try? endpoint.write(to: configuration)
                ready(endpoint)
            },
            logger: logger)
        var group = ServiceGroupConfiguration(
            services: [.init(service: application)], gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
        group.maximumGracefulShutdownDuration = Self.stopGrace
        let services = ServiceGroup(configuration: group)
        defer { Endpoint.remove(from: configuration) }
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await services.run() }
            tasks.addTask {
                for await _ in stopRequested.stream { await services.triggerGracefulShutdown() }
            }
            try await tasks.next()
            tasks.cancelAll()
        }
        return stop.withLock { $0 }
    }
}

extension RequestBody {
    /// The body as plain bytes.
    var bytes: AsyncMapSequence<RequestBody, [UInt8]> { map { Array($0.readableBytesView) } }
}
