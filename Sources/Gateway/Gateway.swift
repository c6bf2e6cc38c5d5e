import DeploymentCore
import Foundation
import NIOCore
import NIOPosix
import Waiting

/// The way in: passes `/<name>/predict`, `/<name>/health` and `/<name>/info` on to the current revision of a deployment.
///
/// A strict HTTP/1.1 proxy at the level of bytes: heads are parsed, checked and rewritten, bodies are framed and passed
/// on as they come, both ways, with back-pressure. An app is reached through connected sockets that its `Upstream`
/// hands out; they are kept and used again.
///
/// A request that is wholly in memory (64 KiB) is sent a second time, whatever its method, when an app connection that
/// had been used before ends before a byte of an answer: the app had closed it while it was unused.
public final class Gateway: Sendable {
    /// Where the gateway listens and what it allows.
    public struct Configuration: Sendable {
        /// The address to listen on.
        public var host: String
        /// The port to listen on; 0 takes any free one.
        public var port: Int
        /// The event loops; one carries some 50,000 requests per second.
        public var loops: Int
        /// Limits and timeouts.
        public var limits: GatewayLimits

        /// Creates a configuration; a quarter of the cores, but at least one, gets an event loop.
        public init(
            host: String = "127.0.0.1", port: Int = 4999,
            loops: Int = max(1, ProcessInfo.processInfo.activeProcessorCount / 4),
            limits: GatewayLimits = GatewayLimits()
        ) {
            self.host = host
            self.port = port
            self.loops = max(1, loops)
            self.limits = limits
        }
    }

    private struct Running {
        let group: MultiThreadedEventLoopGroup
        let loops: [LoopState]
        var listener: (any Channel)?
    }

    let board = RouteBoard()
    private let configuration: Configuration
    private let count: ConnectionCount
    private let running = Locked<Running?>(nil)

    /// Creates a gateway that does not listen yet.
    public init(configuration: Configuration = Configuration()) {
        self.configuration = configuration
        count = ConnectionCount(
            limit: configuration.limits.connections, perAddress: configuration.limits.connectionsPerAddress)
    }

    /// Listens; the port it listens on.
    ///
    /// - Throws: `conflict` when the port is taken or the gateway runs already, `unreachable` when the address cannot be
    ///   listened on.
    public func start() async throws -> Int {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: configuration.loops)
        let loops = group.makeIterator().enumerated().map { index, loop in
            LoopState(loop: loop, index: index, board: board, limits: configuration.limits, count: count)
        }
        let isFirst = running.withLock { running in
            guard running == nil else { return false }
            running = Running(group: group, loops: loops)
            return true
        }
        guard isFirst else {
            try? await group.shutdownGracefully()
            throw BerthError(.conflict, "the gateway runs already")
        }
        for state in loops { state.loop.execute { state.start() } }
        do {
            let listener = try await listen(on: group, loops)
            running.withLock { $0?.listener = listener }
            return listener.localAddress?.port ?? configuration.port
        } catch {
            await shutDown()
            throw refusal(error)
        }
    }

    private func listen(on group: MultiThreadedEventLoopGroup, _ loops: [LoopState]) async throws -> any Channel {
        let count = count
        return try await ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 1024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard let state = loops.first(where: { $0.loop === channel.eventLoop }) else {
                        throw BerthError(.internalError, "a connection came on an unknown event loop")
                    }
                    let address = channel.remoteAddress?.ipAddress ?? ""
                    let handler = ClientHandler(
                        state, address: address, isAdmitted: count.enter(address), channel.allocator)
                    try channel.pipeline.syncOperations.addHandler(handler)
                }
            }
            .bind(host: configuration.host, port: configuration.port).get()
    }

    private func refusal(_ error: any Error) -> BerthError {
        let port = configuration.port
        if let error = error as? IOError, error.errnoCode == EADDRINUSE {
            return BerthError(
                .conflict, "port \(port) is already taken on \(configuration.host)",
                suggestion: "stop what listens there, or choose another gateway port", cause: error)
        }
        return BerthError(.unreachable, "cannot listen on \(configuration.host):\(port)", cause: error)
    }

    /// Stops: takes no more connections, ends idle ones, lets every other end with its next answer, and after `grace`
    /// ends what is left, with 503 where no answer has begun.
    public func stop(grace: Duration) async {
        guard let (loops, listener) = running.withLock({ $0.map { ($0.loops, $0.listener) } }) else { return }
        try? await listener?.close()
        for state in loops { try? await state.loop.submit { state.stopTaking() }.get() }
        let count = count
        await withTaskGroup(of: Bool.self) { group in
            group.addTask {
                await count.empty()
                return true
            }
            group.addTask {
                try? await Task.sleep(for: grace)
                return false
            }
            let isEmpty = await group.next() ?? true
            group.cancelAll()
            if !isEmpty { for state in loops { try? await state.loop.submit { state.stop() }.get() } }
        }
        await shutDown()
    }

    private func shutDown() async {
        let ending = running.withLock { running -> Running? in
            defer { running = nil }
            return running
        }
        guard let ending else { return }
        for state in ending.loops {
            let opening = try? await state.loop.submit {
                state.stop()
                return Array(state.opening.values)
            }.get()
            for task in opening ?? [] { await task.value }
            // Sockets that came too late are closed on the loop.
            try? await state.loop.submit {}.get()
        }
        try? await ending.group.shutdownGracefully()
    }

    // MARK: routes

    /// Makes `upstream` the one that takes `name`'s new requests, at once and for all loops.
    ///
    /// Requests that run stay where they are; keep-alive connections of clients go on.
    ///
    /// - Returns: the requests that still run on the upstream before; nil when there was none.
    @discardableResult
    public func publish(_ name: String, _ upstream: Upstream) -> DrainHandle? {
        retire(board.publish(name, upstream, loops: configuration.loops))
    }

    /// Takes `name`'s upstream away; nil when there is none.
    @discardableResult
    public func withdraw(_ name: String) -> DrainHandle? { retire(board.withdraw(name)) }

    private func retire(_ generation: Generation?) -> DrainHandle? {
        guard let generation else { return nil }
        for state in running.withLock({ $0?.loops ?? [] }) {
            state.loop.execute { generation.pools[state.index].closeAll() }
        }
        return DrainHandle(generation: generation, gateway: self)
    }

    /// Says which stage a deployment without an upstream is in, which is what its 404 then tells; nil: it is unknown.
    public func announce(_ name: String, stage: String?) { board.announce(name, stage: stage) }

    /// What `name` has done since it was first published or announced; nil when it is unknown.
    public func statistics(_ name: String) -> RouteStatistics? { board.statistics(name) }

    /// Ends the requests that still run on a retired upstream.
    func cut(_ generation: Generation) async {
        for state in running.withLock({ $0?.loops ?? [] }) {
            try? await state.loop.submit { state.cut(generation) }.get()
        }
    }
}
