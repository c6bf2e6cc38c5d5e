import CPlatform
import DeploymentCore
import Glibc
import NIOCore
import NIOPosix
import Sandboxes

/// The way out of one sandbox: its listener, its connections and what is counted of them.
///
/// What is not locked is touched on the event loop only, hence unchecked.
final class SandboxExit: @unchecked Sendable {
    /// Connections that may wait to be taken.
    static let backlog: Int32 = 128

    let limits: EgressLimits
    private let loop: any EventLoop
    private let destinations: Destinations
    private let all: PassageCount
    private let refused: @Sendable (EgressRefusal) -> Void
    private let way: Locked<EgressWay>
    private let bytes = Locked(EgressTraffic())

    private var passages: [ObjectIdentifier: Passage] = [:]
    /// Connections that are told that there is no room.
    private var turnedAway: [ObjectIdentifier: Passage] = [:]
    private var tasks: [Int: Task<Void, Never>] = [:]
    private var lastTask = 0
    private var told: Set<String> = []
    private var heldBytes = 0
    private var isClosed = false

    init(
        _ way: EgressWay, limits: EgressLimits, loop: any EventLoop, destinations: Destinations, all: PassageCount,
        refused: @escaping @Sendable (EgressRefusal) -> Void
    ) {
        self.way = Locked(way)
        self.limits = limits
        self.loop = loop
        self.destinations = destinations
        self.all = all
        self.refused = refused
    }

    var traffic: EgressTraffic { bytes.withLock { $0 } }

    /// Replaces what the sandbox is for and may reach; connections that are open stay.
    func change(_ new: EgressWay) { way.withLock { $0 = new } }

    /// Listens in the way's folder, in the place of whoever listened there before.
    func listen() async throws -> any Channel {
        let way = way.withLock { $0 }
        let folder = try Self.check(
            Glibc.open(way.folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), way, negated: true)
        defer { Glibc.close(folder) }
        // The socket of an earlier control plane; the sandbox sees the folder, so it finds the new one.
        unlinkat(folder, EgressWay.socketName, 0)
        let listener = try Self.check(berth_unix_listen(folder, EgressWay.socketName, Self.backlog), way)
        // Those inside may have ids of their own; the folder above keeps out whoever else is on the host.
        fchmodat(folder, EgressWay.socketName, 0o666, 0)
        do {
            return try await ServerBootstrap(group: loop)
                .passing(limits)
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        let passage = Passage(self, inner: channel)
                        try channel.pipeline.syncOperations.addHandler(PassageEnd(passage, .inner))
                    }
                }
                .withBoundSocket(listener).get()
        } catch {
            throw BerthError(.sandbox, "the way out of sandbox \(way.sandbox) cannot be opened", cause: error)
        }
    }

    private static func check(_ result: Int32, _ way: EgressWay, negated: Bool = false) throws -> Int32 {
        guard result < 0 else { return result }
        let reason = String(cString: strerror(negated ? errno : -result))
        throw BerthError(.sandbox, "the way out of sandbox \(way.sandbox) cannot be opened: \(reason)")
    }

    /// Ends every connection and waits for what they had begun.
    func close(_ listener: (any Channel)?) async {
        try? await listener?.close()
        let running = try? await loop.submit { [self] in
            isClosed = true
            for passage in Array(passages.values) + Array(turnedAway.values) { passage.abort() }
            for task in tasks.values { task.cancel() }
            return Array(tasks.values)
        }.get()
        for task in running ?? [] { await task.value }
    }

    // MARK: for its connections, on the loop

    /// Counts a connection in; false when it is one too many.
    func enter(_ passage: Passage) -> Bool {
        guard !isClosed, passages.count < limits.connections, all.enter(limit: limits.connectionsInAll) else {
            return false
        }
        passages[ObjectIdentifier(passage)] = passage
        return true
    }

    /// Whether a connection that is one too many may stay until it has read so: as many as there may be others.
    func turnAway(_ passage: Passage) -> Bool {
        guard !isClosed, turnedAway.count < limits.connections else { return false }
        turnedAway[ObjectIdentifier(passage)] = passage
        return true
    }

    func leave(_ passage: Passage) {
        turnedAway[ObjectIdentifier(passage)] = nil
        if passages.removeValue(forKey: ObjectIdentifier(passage)) != nil { all.leave() }
    }

    /// Starts what is waited for before the way is closed.
    func start(_ body: @escaping @Sendable () async -> Void) -> Task<Void, Never> {
        lastTask += 1
        let number = lastTask
        let loop = loop
        let task = Task {
            await body()
            loop.execute { self.tasks[number] = nil }
        }
        tasks[number] = task
        return task
    }

    func addresses(of target: EgressTarget) async -> Result<[IPAddress], EgressProblem> {
        let way = way.withLock { $0 }
        return await destinations.addresses(
            of: target, policy: EgressPolicy(access: way.access), sandbox: way.sandbox)
    }

    func count(_ count: Int, from side: Passage.Side) {
        bytes.withLock { bytes in
            if side == .inner { bytes.sentBytes += Int64(count) } else { bytes.receivedBytes += Int64(count) }
        }
    }

    /// Takes bytes into memory until the other side takes them; false when there is no room for them.
    func hold(_ count: Int) -> Bool {
        guard heldBytes + count <= limits.held else { return false }
        heldBytes += count
        return true
    }

    func release(_ count: Int) { heldBytes -= count }

    /// Tells a refusal, once for each host.
    func tell(_ problem: EgressProblem) {
        guard problem.status == 403, let host = problem.host, told.count <= limits.toldHosts else { return }
        let name = String(host[..<(host.lastIndex(of: ":") ?? host.endIndex)])
        guard told.insert(name).inserted else { return }
        let way = way.withLock { $0 }
        let isLast = told.count > limits.toldHosts
        refused(
            EgressRefusal(
                sandbox: way.sandbox, labels: way.labels,
                text: isLast ? "more hosts were refused; they are not told any more" : problem.detail))
    }
}

/// A connection that was refused.
public struct EgressRefusal: Sendable, Equatable {
    /// The sandbox it came from.
    public var sandbox: String
    /// What the sandbox is for.
    public var labels: SandboxLabels
    /// Which host, and what forbids it.
    public var text: String
}

/// The connections of all sandboxes together.
final class PassageCount: Sendable {
    private let count = Locked(0)

    func enter(limit: Int) -> Bool {
        count.withLock { count in
            guard count < limit else { return false }
            count += 1
            return true
        }
    }

    func leave() { count.withLock { $0 -= 1 } }
}
