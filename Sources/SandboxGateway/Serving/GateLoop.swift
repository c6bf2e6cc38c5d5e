import Glibc
import NIOCore
import NIOPosix

/// What the connections of one event loop share. Touched on that loop only, hence unchecked.
final class GateLoop: @unchecked Sendable {
    let loop: any EventLoop
    let shared: GateShared
    /// Whether the gateway is stopping: every answer is the last one of its connection.
    private(set) var isStopping = false

    private var connections: [ObjectIdentifier: any Channel] = [:]
    private var exchanges: [ObjectIdentifier: Exchange] = [:]
    private var openings: [UInt64: Task<Void, Never>] = [:]
    private var lastOpening: UInt64 = 0

    init(loop: any EventLoop, shared: GateShared) {
        self.loop = loop
        self.shared = shared
    }

    var limits: SandboxGatewayLimits { shared.limits }

    // MARK: what there is

    func add(_ connection: any Channel) { connections[ObjectIdentifier(connection)] = connection }
    func remove(_ connection: any Channel) { connections[ObjectIdentifier(connection)] = nil }
    func add(_ exchange: Exchange) { exchanges[ObjectIdentifier(exchange)] = exchange }
    func remove(_ exchange: Exchange) { exchanges[ObjectIdentifier(exchange)] = nil }

    /// Finds the way for an exchange, which is told on this loop; the task's cancellation abandons it.
    func open(_ opening: Opening, for exchange: Exchange) -> Task<Void, Never> {
        lastOpening += 1
        let number = lastOpening
        let task = Task {
            do throws(GateRefusal) {
                let opened = try await opening.open()
                self.loop.execute { self.arrived(number, opened, exchange) }
            } catch {
                self.loop.execute { self.refused(number, error, exchange) }
            }
        }
        openings[number] = task
        return task
    }

    private func refused(_ number: UInt64, _ refusal: GateRefusal, _ exchange: Exchange) {
        openings[number] = nil
        exchange.openingFailed(refusal)
    }

    private func arrived(_ number: UInt64, _ opened: Opening.Opened, _ exchange: Exchange) {
        openings[number] = nil
        guard exchange.phase == .opening else {
            Glibc.close(opened.socket)
            shared.exchanges.leave(opened.lease)
            return
        }
        exchange.opened(opened.lease, name: opened.name, host: opened.host)
        let adopted = bootstrap(exchange).withConnectedSocket(opened.socket)
        adopted.assumeIsolated().whenComplete { result in
            switch result {
            case .success(let channel): exchange.connected(channel)
            case .failure: exchange.openingFailed(.unreachable(opened.name))
            }
        }
    }

    /// Connects an exchange to the control plane.
    func openControlPlane(for exchange: Exchange) {
        let connecting = bootstrap(exchange).connect(unixDomainSocketPath: shared.controlSocket)
        connecting.assumeIsolated().whenComplete { result in
            switch result {
            case .success(let channel): exchange.connected(channel)
            case .failure: exchange.openingFailed(.noControlPlane)
            }
        }
    }

    private func bootstrap(_ exchange: Exchange) -> ClientBootstrap {
        ClientBootstrap(group: loop).channelOption(.maxMessagesPerRead, value: 1).channelInitializer { channel in
            channel.eventLoop.makeCompletedFuture { try Pipelines.addUpstream(to: channel, exchange) }
        }
    }

    // MARK: ends

    /// Ends idle connections and lets the others end with their next answer.
    func stopTaking() {
        isStopping = true
        for connection in Array(connections.values) {
            connection.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
        }
    }

    /// Ends every exchange: with 503 where no answer has begun, else with a reset.
    func endExchanges() {
        isStopping = true
        for exchange in Array(exchanges.values) { exchange.stop() }
    }

    /// Ends every connection.
    func endConnections() {
        for connection in Array(connections.values) { connection.reset() }
        for task in openings.values { task.cancel() }
    }

    /// The searches for a way that still run.
    var running: [Task<Void, Never>] { Array(openings.values) }
}
