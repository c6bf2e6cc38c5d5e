import DeploymentCore
import Foundation
import NIOCore
import NIOPosix
import NIOSSL
import Waiting

/// The front door of hosted sandboxes: takes every request of a client and brings it to the port of a sandbox, or to
/// the control plane.
///
/// Speaks HTTP/1.1 on one port and, where there is a certificate, HTTP/1.1 and HTTP/2 over TLS on another. Where a
/// request goes is decided by its host before anything else (`Destination`). Bodies pass both ways as they come, with
/// back-pressure; a request for an upgrade becomes a tunnel.
public final class SandboxGateway: Sendable {
    /// A certificate and its key, and where they are used.
    public struct TLSFiles: Sendable, Equatable {
        /// The port to listen on; 0 takes any free one.
        public var port: Int
        /// The path of the certificate, and those that vouch for it behind it, as PEM.
        public var certificate: String
        /// The path of its private key as PEM.
        public var key: String

        /// Names the files.
        public init(port: Int = 4981, certificate: String, key: String) {
            self.port = port
            self.certificate = certificate
            self.key = key
        }
    }

    /// Where the gateway listens and what it allows.
    public struct Configuration: Sendable {
        /// The address to listen on.
        public var host: String
        /// The port of plain HTTP; 0 takes any free one.
        public var port: Int
        /// What TLS needs; nil listens without it only.
        public var tls: TLSFiles?
        /// The path of the control plane's unix socket.
        public var controlSocket: String
        /// What the names of sandboxes are below; a port behind it is not looked at.
        public var domain: String
        /// The event loops.
        public var loops: Int
        /// Limits and timeouts.
        public var limits: SandboxGatewayLimits

        /// Creates a configuration; a quarter of the cores, but at least one, gets an event loop.
        public init(
            host: String = "127.0.0.1", port: Int = 4980, tls: TLSFiles? = nil, controlSocket: String,
            domain: String = "sbx.localhost", limits: SandboxGatewayLimits = SandboxGatewayLimits(),
            loops: Int = max(1, ProcessInfo.processInfo.activeProcessorCount / 4)
        ) {
            self.host = host
            self.port = port
            self.tls = tls
            self.controlSocket = controlSocket
            self.domain = domain
            self.limits = limits
            self.loops = max(1, loops)
        }
    }

    private struct Running {
        let group: MultiThreadedEventLoopGroup
        let loops: [GateLoop]
        var listeners: [any Channel] = []
    }

    /// How long the answers that tell of the end may take to go out.
    private static let farewell = Duration.milliseconds(100)

    let shared: GateShared
    private let configuration: Configuration
    private let running = Locked<Running?>(nil)

    /// Creates a gateway that does not listen yet.
    public init(configuration: Configuration, doors: any SandboxDoors) {
        self.configuration = configuration
        shared = GateShared(
            doors: doors, limits: configuration.limits, domain: configuration.domain,
            controlSocket: configuration.controlSocket)
    }

    /// Listens; the ports it listens on.
    ///
    /// - Throws: `conflict` when a port is taken or the gateway runs already, `invalid` settings of TLS as `usage`,
    ///   `unreachable` when the address cannot be listened on.
    public func start() async throws -> (port: Int, tlsPort: Int?) {
        let context = try configuration.tls.map(Self.context)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: configuration.loops)
        let loops = group.makeIterator().map { GateLoop(loop: $0, shared: shared) }
        let isFirst = running.withLock { running in
            guard running == nil else { return false }
            running = Running(group: group, loops: loops)
            return true
        }
        guard isFirst else {
            try? await group.shutdownGracefully()
            throw BerthError(.conflict, "the gateway of sandboxes runs already")
        }
        do {
            let plain = try await listen(on: group, loops, port: configuration.port, context: nil)
            guard let tls = configuration.tls, let context else { return (plain, nil) }
            return (plain, try await listen(on: group, loops, port: tls.port, context: context))
        } catch {
            await shutDown()
            throw error
        }
    }

    private func listen(
        on group: MultiThreadedEventLoopGroup, _ loops: [GateLoop], port: Int, context: NIOSSLContext?
    ) async throws -> Int {
        do {
            let listener = try await ServerBootstrap(group: group)
                .serverChannelOption(.backlog, value: 1024)
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
                .childChannelOption(.maxMessagesPerRead, value: 1)
                .childChannelInitializer { channel in
                    do {
                        guard let gate = loops.first(where: { $0.loop === channel.eventLoop }) else {
                            throw BerthError(.internalError, "a connection came on an unknown event loop")
                        }
                        if let context { return try Pipelines.addSecureClient(to: channel, gate, context) }
                        try Pipelines.addClient(to: channel, gate)
                        return channel.eventLoop.makeSucceededVoidFuture()
                    } catch {
                        return channel.eventLoop.makeFailedFuture(error)
                    }
                }
                .bind(host: configuration.host, port: port).get()
            running.withLock { $0?.listeners.append(listener) }
            return listener.localAddress?.port ?? port
        } catch let error as IOError where error.errnoCode == EADDRINUSE {
            throw BerthError(
                .conflict, "port \(port) is already taken on \(configuration.host)",
                suggestion: "stop what listens there, or choose another port", cause: error)
        } catch {
            throw BerthError(.unreachable, "cannot listen on \(configuration.host):\(port)", cause: error)
        }
    }

    private static func context(_ files: TLSFiles) throws -> NIOSSLContext {
        do {
            let chain = try NIOSSLCertificate.fromPEMFile(files.certificate).map {
                NIOSSLCertificateSource.certificate($0)
            }
            let key = try NIOSSLPrivateKey(file: files.key, format: .pem)
            var configuration = TLSConfiguration.makeServerConfiguration(
                certificateChain: chain, privateKey: .privateKey(key))
            configuration.minimumTLSVersion = .tlsv12
            configuration.applicationProtocols = ["h2", "http/1.1"]
            return try NIOSSLContext(configuration: configuration)
        } catch {
            throw BerthError(
                .usage, "the certificate \(files.certificate) with the key \(files.key) cannot be used",
                suggestion: "make a new one with `berth tls --renew`", cause: error)
        }
    }

    /// Stops: takes no more connections, ends idle ones, lets every other end with its next answer, and after `grace`
    /// ends what is left, with 503 where no answer has begun.
    public func stop(grace: Duration) async {
        guard let (loops, listeners) = running.withLock({ $0.map { ($0.loops, $0.listeners) } }) else { return }
        for listener in listeners { try? await listener.close() }
        for gate in loops { try? await gate.loop.submit { gate.stopTaking() }.get() }
        let connections = shared.connections
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await connections.empty() }
            group.addTask {
                try? await Task.sleep(for: grace)
                for gate in loops { try? await gate.loop.submit { gate.endExchanges() }.get() }
                try? await Task.sleep(for: Self.farewell)
                for gate in loops { try? await gate.loop.submit { gate.endConnections() }.get() }
            }
            await group.next()
            group.cancelAll()
        }
        await shutDown()
    }

    private func shutDown() async {
        let ending = running.withLock { running -> Running? in
            defer { running = nil }
            return running
        }
        guard let ending else { return }
        shared.exchanges.stop()
        for gate in ending.loops {
            try? await gate.loop.submit {
                gate.endExchanges()
                gate.endConnections()
            }.get()
            let opening = (try? await gate.loop.submit { gate.running }.get()) ?? []
            for task in opening { await task.value }
            // Sockets that came too late are closed on the loop.
            try? await gate.loop.submit {}.get()
        }
        try? await ending.group.shutdownGracefully()
    }
}
