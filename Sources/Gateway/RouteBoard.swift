import DeploymentCore

/// One published upstream of a route, from `publish` until its last request has ended.
final class Generation: @unchecked Sendable {
    let route: Route
    let upstream: Upstream
    let revisionLine: [UInt8]
    let timeout: UInt64
    let connectDeadline: UInt64?
    /// What `/health` is answered with instead of asking the app.
    let restingHealth: [UInt8]?
    /// The unused connections, one pool per event loop, each touched on its loop only.
    let pools: [IdlePool]
    private let paths: [[UInt8]]

    // Under the board's lock:
    fileprivate(set) var inFlight = 0
    fileprivate(set) var isRetired = false
    fileprivate var waiters: [CheckedContinuation<Void, Never>] = []

    init(_ route: Route, _ upstream: Upstream, loops: Int) {
        self.route = route
        self.upstream = upstream
        revisionLine = upstream.revisionLine
        timeout = upstream.timeout.nanoseconds
        connectDeadline = upstream.connectDeadline?.nanoseconds
        restingHealth = upstream.restingHealth?.encoded()
        paths = RouteAction.allCases.map(upstream.pathBytes)
        pools = (0..<loops).map { _ in IdlePool() }
    }

    /// The app's own path; empty when it is not mapped.
    func path(_ action: RouteAction) -> [UInt8] { paths[Int(action.rawValue)] }
}

/// A name: what serves it, or how far it is. Under the board's lock but for its name.
final class Route: @unchecked Sendable {
    let name: String
    fileprivate(set) var stage: String?
    fileprivate(set) var current: Generation?
    fileprivate(set) var statistics = RouteStatistics()

    init(name: String) { self.name = name }
}

/// All routes. A request takes its upstream and is counted under one lock, so that nothing starts on a retired one.
final class RouteBoard: Sendable {
    enum Finding {
        case serving(Generation)
        case announced(Problem)
        case unknown
    }

    private let table = Locked(RouteTable<Route>())

    /// Counts a request in and says where it goes; `isUse`: whether it asks for more than health.
    func begin(_ name: UnsafeRawBufferPointer, isUse: Bool) -> Finding {
        table.withLock { table in
            guard let route = table.find(name) else { return .unknown }
            guard let generation = route.current else {
                guard let stage = route.stage else { return .unknown }
                return .announced(.notExposed(route.name, stage: stage))
            }
            generation.inFlight += 1
            route.statistics.requests += 1
            if isUse {
                route.statistics.uses += 1
                route.statistics.usesInFlight += 1
            }
            return .serving(generation)
        }
    }

    /// Moves a request that has not been sent from a retired upstream to the current one; nil when there is none.
    ///
    /// The request is written already, so it can only go where the app's own path is the same.
    func move(_ generation: Generation, _ action: RouteAction) -> Generation? {
        let (waiters, next) = table.withLock { _ -> ([CheckedContinuation<Void, Never>], Generation?) in
            guard generation.isRetired, let next = generation.route.current,
                next.path(action) == generation.path(action)
            else { return ([], nil) }
            next.inFlight += 1
            generation.inFlight -= 1
            return (Self.released(generation), next)
        }
        for waiter in waiters { waiter.resume() }
        return next
    }

    /// Counts a request out; whether the upstream is retired. `status` 0: the client had left.
    @discardableResult
    func end(_ generation: Generation, status: Int, isUse: Bool, isUpstreamError: Bool = false) -> Bool {
        let (waiters, isRetired) = table.withLock { _ -> ([CheckedContinuation<Void, Never>], Bool) in
            generation.inFlight -= 1
            generation.route.statistics.statuses[min(5, max(0, status / 100))] += 1
            if isUpstreamError { generation.route.statistics.upstreamErrors += 1 }
            if isUse { generation.route.statistics.usesInFlight -= 1 }
            return (Self.released(generation), generation.isRetired)
        }
        for waiter in waiters { waiter.resume() }
        return isRetired
    }

    private static func released(_ generation: Generation) -> [CheckedContinuation<Void, Never>] {
        guard generation.inFlight == 0 else { return [] }
        defer { generation.waiters = [] }
        return generation.waiters
    }

    func countRetry(_ generation: Generation) {
        table.withLock { _ in generation.route.statistics.retries += 1 }
    }

    func noteBuffer(_ generation: Generation, _ bytes: Int) {
        table.withLock { _ in
            generation.route.statistics.largestBuffer = max(generation.route.statistics.largestBuffer, bytes)
        }
    }

    /// Makes `upstream` the current one; the one before is retired.
    func publish(_ name: String, _ upstream: Upstream, loops: Int) -> Generation? {
        table.withLock { table in
            let route = Self.route(name, &table)
            let previous = route.current
            previous?.isRetired = true
            route.current = Generation(route, upstream, loops: loops)
            return previous
        }
    }

    /// Retires the current upstream; the name keeps its stage.
    func withdraw(_ name: String) -> Generation? {
        table.withLock { table in
            guard let route = Self.existing(name, table), let previous = route.current else { return nil }
            previous.isRetired = true
            route.current = nil
            if route.stage == nil { table.remove(Array(name.utf8)) }
            return previous
        }
    }

    func announce(_ name: String, stage: String?) {
        table.withLock { table in
            if let stage {
                Self.route(name, &table).stage = stage
            } else if let route = Self.existing(name, table) {
                route.stage = nil
                if route.current == nil { table.remove(Array(name.utf8)) }
            }
        }
    }

    func statistics(_ name: String) -> RouteStatistics? {
        table.withLock { table in
            guard let route = Self.existing(name, table) else { return nil }
            var statistics = route.statistics
            statistics.inFlight = statistics.requests - statistics.statuses.reduce(0, +)
            return statistics
        }
    }

    /// All upstreams that take requests.
    func current() -> [Generation] {
        table.withLock { $0.values.compactMap(\.current) }
    }

    /// Whether no request is in flight.
    func isDrained(_ generation: Generation) -> Bool { table.withLock { _ in generation.inFlight == 0 } }

    /// Returns when no request is in flight.
    func drained(_ generation: Generation) async {
        await withCheckedContinuation { continuation in
            let isDone = table.withLock { _ in
                if generation.inFlight == 0 { return true }
                generation.waiters.append(continuation)
                return false
            }
            if isDone { continuation.resume() }
        }
    }

    private static func existing(_ name: String, _ table: RouteTable<Route>) -> Route? {
        Array(name.utf8).withUnsafeBytes(table.find)
    }

    private static func route(_ name: String, _ table: inout RouteTable<Route>) -> Route {
        if let route = existing(name, table) { return route }
        let route = Route(name: name)
        table.insert(route, for: Array(name.utf8))
        return route
    }
}
