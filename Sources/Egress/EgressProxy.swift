import DeploymentCore
import NIOCore
import NIOPosix
import Sandboxes

/// The way out of all sandboxes: a listener for each, on a unix socket in a folder that the sandbox sees.
///
/// It takes `CONNECT host:port` and requests with an `http://` URL, looks the name up, checks the addresses against what
/// the sandbox may reach, and connects to exactly those. It does not look into what passes.
public actor EgressProxy: EgressGate {
    /// What the proxy asks the system for.
    public struct Configuration: Sendable {
        /// Limits and timeouts.
        public var limits: EgressLimits
        /// The addresses of a name, for a sandbox; nil asks the system.
        var resolve: (@Sendable (_ name: String, _ sandbox: String) async throws -> [IPAddress])?
        /// The addresses of this machine.
        var own: @Sendable () -> Set<IPAddress> = { IPAddress.own() }

        /// Creates a configuration.
        public init(limits: EgressLimits = EgressLimits()) { self.limits = limits }
    }

    private struct Opened {
        let exit: SandboxExit
        let listening: Task<any Channel, any Error>
    }

    /// The most refusals that wait to be told; more are lost.
    private static let toldLimit = 1024

    private let limits: EgressLimits
    private let destinations: Destinations
    private let all = PassageCount()
    private let refusals: AsyncStream<EgressRefusal>.Continuation
    private let telling: Task<Void, Never>
    private let exits = Locked<[String: Opened]>([:])
    private var group: MultiThreadedEventLoopGroup?
    private var isClosed = false

    /// Creates a proxy that listens for nobody yet.
    ///
    /// - Parameter refused: Is told of refusals, one after the other: once for each host of a sandbox.
    public init(
        configuration: Configuration = Configuration(), refused: @escaping @Sendable (EgressRefusal) -> Void
    ) {
        limits = configuration.limits
        let lookup = NameLookup()
        destinations = Destinations(
            limits: configuration.limits,
            resolve: configuration.resolve ?? { try await lookup.addresses(of: $0, for: $1) }, own: configuration.own)
        let (stream, continuation) = AsyncStream<EgressRefusal>.makeStream(
            bufferingPolicy: .bufferingOldest(Self.toldLimit))
        refusals = continuation
        // Writing a log takes its time, which the event loop has not.
        telling = Task { for await refusal in stream { refused(refusal) } }
    }

    /// Listens for a sandbox; when it does so already, only what the sandbox is for and may reach is replaced.
    ///
    /// - Throws: `sandbox` when the socket cannot be listened on, or the proxy has been closed.
    public func open(_ way: EgressWay) async throws {
        guard !isClosed else { throw BerthError(.sandbox, "the proxy of sandbox \(way.sandbox) has ended") }
        if let opened = exits.withLock({ $0[way.sandbox] }) {
            opened.exit.change(way)
            _ = try await opened.listening.value
            return
        }
        let group = self.group ?? MultiThreadedEventLoopGroup(numberOfThreads: 1)
        self.group = group
        let refusals = refusals
        let exit = SandboxExit(
            way, limits: limits, loop: group.next(), destinations: destinations, all: all,
            refused: { refusals.yield($0) })
        let opened = Opened(exit: exit, listening: Task { try await exit.listen() })
        exits.withLock { $0[way.sandbox] = opened }
        do {
            _ = try await opened.listening.value
        } catch {
            exits.withLock { exits in
                if exits[way.sandbox]?.exit === exit { exits[way.sandbox] = nil }
            }
            throw error
        }
    }

    /// Ends the listener and every connection of a sandbox; one that has none is no error.
    public func close(_ sandbox: String) async {
        guard let opened = exits.withLock({ $0.removeValue(forKey: sandbox) }) else { return }
        await opened.exit.close(try? await opened.listening.value)
    }

    /// What went through since the way was opened here; nil when it is not open.
    public nonisolated func traffic(of sandbox: String) -> EgressTraffic? {
        exits.withLock { $0[sandbox] }?.exit.traffic
    }

    /// Ends every listener and connection; the sandboxes' sockets stay in their folders for a later proxy to replace.
    public func close() async {
        isClosed = true
        for sandbox in exits.withLock({ Array($0.keys) }) { await close(sandbox) }
        refusals.finish()
        await telling.value
        try? await group?.shutdownGracefully()
        group = nil
    }
}
