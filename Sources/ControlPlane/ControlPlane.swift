import AppTemplates
import Artifacts
import ControlAPI
import CurlClient
import DeploymentCore
import DeploymentStore
import Egress
import Environments
import Foundation
import Gateway
import HealthProbing
import Hummingbird
import LocalSandbox
import Logging
import NIOCore
import Orchestration
import Sandboxes
import ServiceLifecycle

/// The composition root: builds every part, recovers, serves until it is told to stop.
public struct ControlPlane: Sendable {
    /// The version of Berth.
    public static let version = "0.1.0"
    /// How long a stop waits for requests and connections before it cuts them.
    public static let stopGrace = Duration.seconds(10)
    /// How long all of a stop may take beyond that before what is left of it is cancelled.
    static let stopReserve = Duration.seconds(5)

    private let configuration: Configuration
    private let environment: [String: String]

    /// Prepares a control plane; nothing is opened yet.
    public init(configuration: Configuration, environment: [String: String]) {
        self.configuration = configuration
        self.environment = environment
    }

    /// Serves until `stopped` returns or a stop is requested; `ready` hears where once requests are answered.
    ///
    /// A stop takes no new connections, cancels and undoes rollouts, and gives requests in flight `stopGrace`. The
    /// sandboxes go on for the next control plane, unless the request says otherwise.
    /// - Throws: `conflict` when another control plane has this home, or a port is taken.
    public func run(
        until stopped: @escaping @Sendable () async -> Void, ready: @escaping @Sendable (Endpoint) -> Void
    ) async throws {
        let token = try Token.load(from: configuration)
        var home = stat()
        guard stat(configuration.home, &home) == 0, home.st_mode & 0o022 == 0, home.st_uid == geteuid() else {
            throw BerthError(
                .internalError, "\(configuration.home) belongs to or can be written by others",
                suggestion: "chmod 700 \(configuration.home), or set BERTH_HOME to a folder of yours")
        }
        let lock = try HomeLock(configuration.path("serve.lock"))
        defer { lock.release() }
        // What an earlier one left behind would send clients to a port that is not ours.
        Endpoint.remove(from: configuration)
        let curl = CurlClient()
        defer { curl.close() }
        let now: @Sendable () -> Int64 = { Int64(Date().timeIntervalSince1970 * 1_000) }
        let store = try DeploymentStore(path: configuration.path("berth.sqlite"))
        let logs = try LogBook(folder: configuration.path("logs"), now: now)
        let journal = RefusalJournal(store: store, logs: logs)
        let gateway = Gateway(
            configuration: Gateway.Configuration(host: Configuration.host, port: configuration.gatewayPort))
        let gatewayPort = try await gateway.start()
        let egress = EgressProxy { journal.note($0.text, of: $0.labels) }
        do {
            let provider = LocalProvider(
                folder: configuration.path("sandboxes"), agent: configuration.agent,
                isolation: configuration.isolation, client: curl, identities: configuration.grantsIdentities,
                announce: Self.log, gate: egress)
            var uv = try Uv.locate(home: configuration.home, environment: environment)
            if let walls = try await ProgramWalls.find() {
                uv.walls = { walls.prefix(readable: $0.readable, writable: $0.writable, network: $0.network) }
            }
            let environments = EnvironmentStore(folder: configuration.path("environments"), uv: uv)
            try await environments.removeLeftovers()
            let remote = try RemoteProviders(
                configuration, environment: environment, curl: curl, now: now, announce: Self.log)
            let workshop = try workshop(
                provider, remote, environments, gateway, gatewayPort, curl, store: store, logs: logs, now: now)
            let service = DeploymentService(workshop: workshop)
            let isolation = try await provider.capabilities().isolation
            await Self.wakeSandboxes(of: provider)
            for failure in try await service.recover() { Self.log(failure) }
            let hosted = try await HostedPlane.open(
                configuration, store: store, provider: provider, environments: environments, curl: curl, now: now,
                log: Self.log)
            let stop = Stop(when: stopped)
            let serving: Result<Void, any Error>
            do {
                serving = .success(
                    try await serve(
                        service, hosted, remote, workshop.blobs, token, gateway, gatewayPort, isolation, stop, ready))
            } catch {
                serving = .failure(error)
            }
            // However the serving ended: no work is left, requests in flight are answered, then sandboxes may go.
            await service.close()
            await environments.close()
            await gateway.stop(grace: Self.stopGrace)
            await hosted.close(removingSandboxes: stop.isRemovingSandboxes.withLock { $0 })
            if stop.isRemovingSandboxes.withLock({ $0 }) {
                for failure in await service.removeSandboxes() { Self.log(failure) }
            }
            await remote.close()
            await egress.close()
            try serving.get()
        } catch {
            await gateway.stop(grace: .zero)
            await egress.close()
            throw error
        }
    }

    static func log(_ text: String) {
        FileHandle.standardError.write(Data("berth: \(VisibleText.of(text))\n".utf8))
    }

    private func workshop(
        _ provider: any SandboxProvider, _ remote: RemoteProviders, _ environments: EnvironmentStore,
        _ gateway: Gateway, _ gatewayPort: Int,
        _ curl: CurlClient, store: DeploymentStore, logs: LogBook, now: @escaping @Sendable () -> Int64
    ) throws -> Workshop {
        let blobs = try BlobStore(folder: configuration.path("blobs"), curl: curl)
        return Workshop(
            store: store, provider: provider, remoteProviders: remote.all, gateway: gateway, gatewayPort: gatewayPort,
            environments: LocalEnvironments(store: environments, mounted: store.hostedMounts), blobs: blobs,
            bundles: try BundleStore(folder: configuration.path("bundles"), blobs: blobs),
            templates: try TemplateCatalog(folder: configuration.templates), prober: Prober(client: curl),
            liveness: LivenessProber(client: curl),
            smoke: SmokeRunner(client: curl), logs: logs, now: now,
            standbyLimit: configuration.standbyLimit)
    }

    /// Ends rollouts and supervision at the beginning of a stop, while requests in flight come to their end.
    private struct WorkEnd: Service {
        let service: DeploymentService
        let gateway: Gateway

        func run() async throws {
            try await gracefulShutdown()
            async let drained: Void = gateway.stop(grace: ControlPlane.stopGrace)
            await service.close()
            await drained
        }
    }

    /// Destroys what has expired, until a stop begins.
    private struct Expiring: Service {
        let service: DeploymentService

        func run() async throws {
            await cancelWhenGracefulShutdown { await service.expireDeployments(ControlPlane.log) }
        }
    }

    /// Measures what the deployments use, until a stop begins.
    private struct Sampling: Service {
        let sampler: StatisticsSampler

        func run() async throws {
            await cancelWhenGracefulShutdown { await sampler.run() }
        }
    }

    /// Pauses what is idle, until a stop begins.
    private struct Idling: Service {
        let watch: IdleWatch

        func run() async throws {
            await cancelWhenGracefulShutdown { await watch.run() }
        }
    }

    /// What ends the serving, and how.
    private struct Stop: Sendable {
        let when: @Sendable () async -> Void
        let isRemovingSandboxes = Locked(false)
    }

    private static var logger: Logger {
        var logger = Logger(label: "berth")
        logger.logLevel = .warning
        return logger
    }

    /// Tells where requests are answered; whether clients will find it.
    private func publish(_ endpoint: Endpoint, _ ready: (Endpoint) -> Void) -> Bool {
        do {
            try endpoint.write(to: configuration)
            ready(endpoint)
            return true
        } catch {
            Self.log("cannot write server.json, so no client will find this control plane: \(error)")
            return false
        }
    }

    private func serve(
        _ service: DeploymentService, _ hosted: HostedPlane, _ remote: RemoteProviders, _ blobs: BlobStore,
        _ token: String, _ gateway: Gateway, _ gatewayPort: Int, _ isolation: Isolation, _ stop: Stop,
        _ ready: @escaping @Sendable (Endpoint) -> Void
    ) async throws {
        let stopRequested = AsyncStream<Void>.makeStream()
        let running = AsyncStream<Void>.makeStream()
        let directory = SandboxDirectory(service: service)
        let pauses = Pauses(service: service, directory: directory)
        let sampler = StatisticsSampler(service: service, directory: directory, pauses: pauses)
        let routes = Routes(
            service: service, pauses: pauses, sampler: sampler, images: hosted.images,
            volumes: hosted.volumes,
            blobs: { digest, body in _ = try await blobs.add(body.bytes, digest: digest) },
            missingBlobs: { blobs.missing($0) },
            server: ServerResource(
                version: Self.version, pid: getpid(), gateway: "http://\(Configuration.host):\(gatewayPort)",
                isolation: isolation),
            stop: { keepingSandboxes in
                stop.isRemovingSandboxes.withLock { $0 = !keepingSandboxes }
                stopRequested.continuation.yield()
            })
        let logger = Self.logger
        let configuration = configuration
        let application = Application(
            router: routes.router(token: token),
            configuration: ApplicationConfiguration(
                address: .hostname(Configuration.host, port: configuration.apiPort), serverName: nil),
            onServerRunning: { channel in
                running.continuation.finish()
                let front = await hosted.ports()
                let endpoint = Endpoint(
                    apiPort: channel.localAddress?.port ?? configuration.apiPort, gatewayPort: gatewayPort,
                    pid: getpid(), e2bPort: front?.plain, e2bTLSPort: front?.tls)
                if !publish(endpoint, ready) { stopRequested.continuation.yield() }
            },
            logger: logger)
        let work: [ServiceGroupConfiguration.ServiceConfiguration] = [
            .init(service: Sampling(sampler: sampler)),
            .init(service: Idling(watch: IdleWatch(service: service, pauses: pauses))),
            .init(service: Expiring(service: service)), .init(service: RemoteProviders.Keeping(providers: remote)),
        ]
        var group = ServiceGroupConfiguration(
            // Stopped in reverse: work ends first, so that those who follow it hear the verdict.
            services: [.init(service: application)] + work + hosted.services(logger: logger)
                + [.init(service: WorkEnd(service: service, gateway: gateway))],
            logger: logger)
        group.maximumGracefulShutdownDuration = Self.stopGrace + Self.stopReserve
        let services = ServiceGroup(configuration: group)
        defer { Endpoint.remove(from: configuration) }
        try await run(
            services, until: stop, asked: stopRequested.stream, by: stopRequested.continuation, running.stream)
    }

    /// Runs until one of those who may end it does.
    private func run(
        _ services: ServiceGroup, until stop: Stop, asked requests: AsyncStream<Void>,
        by request: AsyncStream<Void>.Continuation, _ running: AsyncStream<Void>
    ) async throws {
        try await withThrowingTaskGroup(of: Bool.self) { tasks in
            tasks.addTask {
                do {
                    try await services.run()
                    return true
                } catch let error as IOError where error.errnoCode == EADDRINUSE {
                    throw BerthError(
                        .conflict, "port \(configuration.apiPort) is already taken on \(Configuration.host)",
                        suggestion: "end what listens there, or set BERTH_API_PORT to another port")
                }
            }
            tasks.addTask {
                for await _ in requests { await services.triggerGracefulShutdown() }
                return false
            }
            tasks.addTask {
                await stop.when()
                // Services that do not run yet cannot be told to stop.
                for await _ in running {}
                request.yield()
                return false
            }
            while let hasEnded = try await tasks.next(), !hasEnded {}
            tasks.cancelAll()
        }
    }
}

extension RequestBody {
    /// The body as plain bytes.
    var bytes: AsyncMapSequence<RequestBody, [UInt8]> { map { Array($0.readableBytesView) } }
}
