import CurlClient
import DeploymentCore
import DeploymentStore
import E2BServer
import Environments
import Foundation
import HostedSandboxes
import Hummingbird
import Logging
import Sandboxes
import ServiceLifecycle
import Waiting

/// The part of the control plane that serves clients of sandboxes: the owner of their sandboxes, the routes on a unix
/// socket, and the front door.
struct HostedPlane: Sendable {
    /// The longest path of a unix socket in bytes (unix(7)).
    private static let maximumSocketPath = 107

    let host: SandboxHost
    /// Templates and snapshots.
    let images: HostedImages
    let volumes: Volumes
    private let events: SandboxEvents
    private let configuration: Configuration
    private let key: String
    private let socket: String
    private let log: @Sendable (String) -> Void
    /// The front door, once it is known whether there is one.
    private let gateway = Promise<HostedGateway?>()

    /// Takes hold of the sandboxes that an earlier control plane left.
    ///
    /// - Throws: `internal_error` when a secret can be read by others, and what the store and the engine say.
    static func open(
        _ configuration: Configuration, store: DeploymentStore, provider: any SandboxProvider,
        environments: EnvironmentStore, curl: CurlClient, now: @escaping @Sendable () -> Int64,
        log: @escaping @Sendable (String) -> Void
    ) async throws -> HostedPlane {
        let interpreter = InterpreterImage(templates: configuration.templates, environments: environments, log: log)
        let images = ImageStore(
            store: store, folder: configuration.path("images"),
            builtIn: ["base": { BuiltInImages.base }, InterpreterTemplate.name: interpreter.make], now: now)
        let tokens = try HostedSecrets.tokens(configuration)
        let folder = configuration.path("volumes")
        let host = SandboxHost(
            SandboxHost.Surroundings(
                store: store, provider: provider, images: images, files: images, volumes: folder,
                journal: configuration.path("hosted-logs"), tokens: tokens, now: now,
                announce: log),
            settings: configuration.hosted)
        let socket = configuration.path("e2b.sock")
        guard socket.utf8.count <= maximumSocketPath else {
            throw BerthError(
                .usage, "BERTH_HOME is too long for the socket \(socket)", suggestion: "set it to a shorter path")
        }
        let plane = HostedPlane(
            host: host, images: try await HostedImages.open(host, images, provider, configuration),
            volumes: Volumes(
                store: store, provider: provider, folder: folder, tokens: tokens, now: now, announce: log),
            events: SandboxEvents(store: store, client: curl, now: now), configuration: configuration,
            key: try HostedSecrets.key(configuration), socket: socket, log: log)
        for failure in try await host.recover() + plane.volumes.recover() { log(failure) }
        return plane
    }

    private init(
        host: SandboxHost, images: HostedImages, volumes: Volumes, events: SandboxEvents,
        configuration: Configuration, key: String, socket: String, log: @escaping @Sendable (String) -> Void
    ) {
        self.host = host
        self.images = images
        self.volumes = volumes
        self.events = events
        self.configuration = configuration
        self.key = key
        self.socket = socket
        self.log = log
    }

    /// All routes of clients.
    private var routes: [any E2BRoutes] {
        [
            SandboxRoutes(host: host), SandboxLookRoutes(host: host), EventRoutes(events: events),
            VolumeRoutes(volumes),
        ] + images.routes
    }

    /// What runs while the control plane serves; the last is stopped first.
    func services(logger: Logger) -> [ServiceGroupConfiguration.ServiceConfiguration] {
        // One that was killed leaves its socket behind; the home is ours alone.
        unlink(socket)
        let application = Application(
            router: E2BRouter.make(key: key, routes),
            configuration: ApplicationConfiguration(address: .unixDomainSocket(path: socket), serverName: nil),
            onServerRunning: { _ in await openGateway() }, logger: logger)
        return [
            .init(service: application), .init(service: Work(body: host.expireSandboxes)),
            .init(service: Work(body: host.measureSandboxes)), .init(service: Work(body: events.run)),
            .init(service: Work(body: volumes.run)),
            .init(service: FrontDoor(gateway: gateway)),
        ]
    }

    private func openGateway() async {
        do {
            let open = try await HostedGateway.open(configuration, doors: HostedDoors(host: host), socket: socket)
            await host.serve(domain: open.domain)
            gateway.fulfil(open)
        } catch {
            // Deployments are served all the same.
            log("clients of sandboxes have no way in: \(error)")
            gateway.fulfil(nil)
        }
    }

    /// The ports of the front door, once it is open; nil when it stays closed.
    func ports() async -> (plain: Int, tls: Int?)? {
        guard let open = await gateway.wait(), let open else { return nil }
        return (open.port, open.tlsPort)
    }

    /// Ends all work here; the sandboxes go on for the next control plane, unless they are to be removed.
    func close(removingSandboxes: Bool) async {
        if let open = gateway.current, let open { await open.stop(grace: .zero) }
        await images.templates.close()
        await volumes.close()
        if removingSandboxes { for failure in await host.killAll() { log(failure) } }
        await host.close()
        unlink(socket)
    }

    /// Does something again and again, until a stop begins.
    private struct Work: Service {
        let body: @Sendable () async -> Void

        func run() async throws { await cancelWhenGracefulShutdown { await body() } }
    }

    /// Lets requests in flight come to their end when a stop begins.
    private struct FrontDoor: Service {
        let gateway: Promise<HostedGateway?>

        func run() async throws {
            try await gracefulShutdown()
            if let open = gateway.current, let open { await open.stop(grace: ControlPlane.stopGrace) }
        }
    }
}
