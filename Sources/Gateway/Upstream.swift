import DeploymentCore

/// Where a deployment's requests go: one revision of one app.
public struct Upstream: Sendable {
    /// The longest revision in bytes; what lies beyond is cut off.
    public static let maximumRevision = 128

    /// The app's own paths for the three that clients see.
    public struct Paths: Sendable, Equatable {
        /// Where predictions are made.
        public var predict: String
        /// Where health is told; nil when the app has no such path, and clients get 404.
        public var health: String?
        /// Where the app describes itself; nil when the app has no such path, and clients get 404.
        public var info: String?

        /// Creates the paths; those of rendered apps are the defaults.
        ///
        /// A path may have a query, which comes before the client's. Bytes that a request line cannot hold are
        /// percent-encoded; a path of more than 1,024 bytes is not mapped.
        public init(predict: String = "/predict", health: String? = "/health", info: String? = "/info") {
            self.predict = predict
            self.health = health
            self.info = info
        }
    }

    /// The value of `X-Berth-Revision` on every answer.
    public var revision: String
    /// The app's own paths.
    public var paths: Paths
    /// The longest silence of the app: before the first byte of an answer (then 504) and inside one (then the cut).
    public var timeout: Duration
    /// The largest request body in bytes; beyond it 413.
    public var maximumBody: Int
    /// The time for a connection to the app; nil takes the gateway's own (`GatewayLimits.connectDeadline`).
    public var connectDeadline: Duration?
    /// What the gateway itself answers on `/health` while the app rests, with 200; nil asks the app.
    ///
    /// An app that rests is woken by predictions and `/info`, not by those who only look whether it is there.
    public var restingHealth: JSONValue?
    /// Gives a connected stream socket of the app, which the gateway owns from then on. Called off the event loops.
    ///
    /// A `RouteUnavailable` that it throws is what the client is told; any other error is `app-unreachable`.
    public var connect: @Sendable () async throws -> Int32

    /// Creates an upstream.
    public init(
        revision: String, paths: Paths = Paths(), timeout: Duration = .seconds(60),
        maximumBody: Int = 64 * 1024 * 1024, connectDeadline: Duration? = nil, restingHealth: JSONValue? = nil,
        connect: @escaping @Sendable () async throws -> Int32
    ) {
        self.connectDeadline = connectDeadline
        self.restingHealth = restingHealth
        self.revision = revision
        self.paths = paths
        self.timeout = timeout
        self.maximumBody = maximumBody
        self.connect = connect
    }

    /// The field line of the revision, without anything that could end it early.
    var revisionLine: [UInt8] {
        let value = revision.utf8.filter { $0 > 32 && $0 < 127 }.prefix(Self.maximumRevision)
        return Array("X-Berth-Revision: ".utf8) + value + [13, 10]
    }

    /// The bytes of the app's path for `action`; empty when it is not mapped.
    func pathBytes(_ action: RouteAction) -> [UInt8] {
        let path: String? =
            switch action {
            case .predict: paths.predict
            case .health: paths.health
            case .info: paths.info
            }
        guard let path else { return [] }
        let hexadecimal = Array("0123456789ABCDEF".utf8)
        var bytes: [UInt8] = path.hasPrefix("/") ? [] : [47]
        for byte in path.utf8 {
            if ByteClass.isTarget(byte), byte != 35 {
                bytes.append(byte)
            } else {
                bytes += [37, hexadecimal[Int(byte >> 4)], hexadecimal[Int(byte & 15)]]
            }
        }
        return bytes.count <= RequestHead.maximumAppPath ? bytes : []
    }
}

/// What a route has done since its name was first published.
public struct RouteStatistics: Sendable, Equatable {
    /// Requests that were given to an upstream.
    public var requests = 0
    /// Those of them that use the app, which a look at its health does not.
    public var uses = 0
    /// Uses that an upstream works on now.
    public var usesInFlight = 0
    /// Requests that an upstream works on now, the old revision's included.
    public var inFlight = 0
    /// Answers by class of status: `statuses[2]` counts 2xx. Class 0 counts clients that left before the answer.
    public var statuses = [0, 0, 0, 0, 0, 0]
    /// Requests that failed by the app's fault: refused, died, timed out, or spoke nonsense.
    public var upstreamErrors = 0
    /// Requests sent a second time, because a reused connection turned out to be closed.
    public var retries = 0
    /// The most bytes that ever waited for one client or one app to read them.
    public var largestBuffer = 0
}
