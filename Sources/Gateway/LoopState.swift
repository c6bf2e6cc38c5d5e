import DeploymentCore
import Glibc
import NIOCore
import NIOPosix
import Waiting

/// What the connections of one event loop share. Touched on that loop only, hence unchecked.
final class LoopState: @unchecked Sendable {
    private struct Connecting {
        let client: ClientHandler
        let since: UInt64
        let limit: UInt64
    }

    let loop: any EventLoop
    let index: Int
    let board: RouteBoard
    let limits: GatewayLimits
    let deadlines: Deadlines
    let count: ConnectionCount
    /// The loop's coarse clock in nanoseconds, moved on by every tick.
    private(set) var now = NIODeadline.now().uptimeNanoseconds
    /// Whether the gateway is stopping: every answer is the last one of its connection.
    private(set) var isStopping = false

    private var clients: [ClientHandler] = []
    private var pools: [IdlePool] = []
    private var connecting: [UInt64: Connecting] = [:]
    /// The tasks that open connections, abandoned ones included, until they have ended.
    private(set) var opening: [UInt64: Task<Void, Never>] = [:]
    private var lastTicket: UInt64 = 0
    private var ticker: RepeatedTask?

    init(loop: any EventLoop, index: Int, board: RouteBoard, limits: GatewayLimits, count: ConnectionCount) {
        self.loop = loop
        self.index = index
        self.board = board
        self.limits = limits
        self.count = count
        deadlines = Deadlines(limits)
    }

    /// Starts the tick.
    func start() {
        let interval = TimeAmount.nanoseconds(Int64(clamping: deadlines.tick))
        ticker = loop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { _ in self.tick() }
    }

    private func tick() {
        now = NIODeadline.now().uptimeNanoseconds
        // A client that ends takes itself out of the list.
        for client in Array(clients) { client.checkTime() }
        for (ticket, waiting) in connecting where now - waiting.since >= waiting.limit + deadlines.tick {
            abandon(ticket)
            waiting.client.connectFailed(.connectTimeout)
        }
        guard now > deadlines.upstreamIdle else { return }
        for pool in pools { pool.close(unusedSince: now - deadlines.upstreamIdle) }
        pools.removeAll { pool in
            pool.isWatched = !pool.connections.isEmpty
            return !pool.isWatched
        }
    }

    // MARK: clients

    func add(_ client: ClientHandler) {
        client.slot = clients.count
        clients.append(client)
    }

    func remove(_ client: ClientHandler) {
        guard client.slot >= 0 else { return }
        let last = clients.removeLast()
        if last !== client {
            clients[client.slot] = last
            last.slot = client.slot
        }
        client.slot = -1
    }

    // MARK: app connections

    /// Keeps an app connection for the next request, or closes it.
    @inline(__always) func keep(_ connection: UpstreamHandler) {
        let pool = connection.generation.pools[index]
        connection.idleSince = now
        guard !isStopping, pool.keep(connection, limit: limits.upstreamIdleConnections) else {
            connection.close()
            return
        }
        if !pool.isWatched {
            pool.isWatched = true
            pools.append(pool)
        }
    }

    /// Opens a connection to the app for `client`, which is told when it is there; the ticket abandons it.
    func connect(_ generation: Generation, for client: ClientHandler) -> UInt64 {
        lastTicket += 1
        let ticket = lastTicket
        let open = generation.upstream.connect
        let task = Task {
            do {
                let socket = try await open()
                self.loop.execute { self.arrived(ticket, socket, generation) }
            } catch {
                let problem = (error as? RouteUnavailable).map(Problem.init) ?? .connectFailed
                self.loop.execute { self.refused(ticket, problem) }
            }
        }
        let limit = generation.connectDeadline ?? deadlines.connectDeadline
        connecting[ticket] = Connecting(client: client, since: now, limit: limit)
        opening[ticket] = task
        return ticket
    }

    /// Nobody waits for the connection any more; if it comes it is closed.
    func abandon(_ ticket: UInt64) {
        connecting[ticket] = nil
        opening[ticket]?.cancel()
    }

    private func refused(_ ticket: UInt64, _ problem: Problem) {
        opening[ticket] = nil
        connecting.removeValue(forKey: ticket)?.client.connectFailed(problem)
    }

    private func arrived(_ ticket: UInt64, _ socket: Int32, _ generation: Generation) {
        opening[ticket] = nil
        guard let waiting = connecting[ticket] else {
            Glibc.close(socket)
            return
        }
        let adopted = ClientBootstrap(group: loop)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(UpstreamHandler(self, generation, channel.allocator))
                }
            }
            .withConnectedSocket(socket)
        adopted.assumeIsolated().whenComplete { result in
            guard case .success(let channel) = result,
                let handler = try? channel.pipeline.syncOperations.handler(type: UpstreamHandler.self)
            else {
                if self.connecting.removeValue(forKey: ticket) != nil { waiting.client.connectFailed(.connectFailed) }
                return
            }
            guard self.connecting.removeValue(forKey: ticket) != nil else {
                handler.close()
                return
            }
            waiting.client.connected(handler)
        }
    }

    // MARK: ends

    /// Ends what still runs on a retired upstream.
    func cut(_ generation: Generation) {
        for client in Array(clients) where client.lease === generation { client.cut(.draining) }
        generation.pools[index].closeAll()
    }

    /// Ends idle client connections and lets the others end with their next answer.
    func stopTaking() {
        isStopping = true
        for client in Array(clients) { client.closeIfIdle() }
    }

    /// Ends everything.
    func stop() {
        isStopping = true
        for client in Array(clients) { client.stop() }
        for generation in board.current() { generation.pools[index].closeAll() }
        for pool in pools { pool.closeAll() }
        pools = []
        for ticket in connecting.keys { abandon(ticket) }
        ticker?.cancel()
        ticker = nil
    }
}
