/// How the agent was started.
public struct AgentOptions: Sendable, Equatable {
    /// The listening unix socket, inherited; -1 when the agent makes it itself.
    public var listener: Int32
    /// Where the agent makes its socket, when none can be inherited.
    public var listenPath: String?
    /// Who is told by one byte, once, that the socket is there.
    public var readiness: Int32?
    /// Whether it is the first process in here, and so has to collect those who lose their parents.
    public var isInit = false
    /// Whether a connection to a port in here is passed on as bytes, where no descriptor can leave.
    public var relaysPorts = false
    /// The home folder: where relative paths begin, and `HOME`.
    public var home: String
    /// The default working directory of processes.
    public var workingDirectory: String
    /// The user that processes and files belong to unless a request says otherwise.
    public var user: String
    /// Its account, where the sandbox has ids of its own; nil where the agent is that user itself.
    public var account: Account?
    /// Whether those inside may become root inside; only with accounts.
    public var allowsSudo = false
    /// Whether the agent runs in the host's own namespaces: paths are the host's, and strangers' sockets are hidden.
    public var allowsHostPaths = false
    /// Variables for every process.
    public var environment: [String: String] = [:]
    /// Variables for every process that the owner has set since, over those.
    public var sharedEnvironment: [String: String] = [:]
    /// The way out: connections to the port in here are passed on to the unix socket at the path. nil is none.
    public var egress: Egress?
    /// How long a subscriber may leave its output waiting, in milliseconds.
    public var stallLimit: Int64 = 10_000
    /// How long the result of a process is kept after its end, in milliseconds.
    public var retention: Int64 = 30_000
    /// The time between SIGTERM and SIGKILL at the agent's end, in milliseconds.
    public var terminationGrace: Int64 = 2000

    /// What the agent puts around itself first; nil where bubblewrap did.
    public var walls: Walls?

    /// The way out of the sandbox.
    public struct Egress: Sendable, Equatable {
        /// The unix socket of the host, as it is found in here.
        public var path: String
        /// The port of 127.0.0.1 in here.
        public var port: Int

        /// Creates a way.
        public init(path: String, port: Int) {
            self.path = path
            self.port = port
        }
    }

    /// What the arguments ask for.
    public enum Command: Sendable, Equatable {
        case version
        /// Trying whether the walls can be put up here.
        case wallsTrial
        case serve(AgentOptions)
        /// The arguments are wrong, and how.
        case wrong(String)
    }

    /// Creates options with the defaults.
    public init(listener: Int32, home: String, workingDirectory: String? = nil, user: String = "user") {
        self.listener = listener
        self.home = home
        self.workingDirectory = workingDirectory ?? home
        self.user = user
    }

    /// Reads the arguments, without the program's name.
    public static func parse(_ arguments: [String]) -> Command {
        if arguments == ["--version"] { return .version }
        if arguments == ["--walls-trial"] { return .wallsTrial }
        var values: [String: String] = [:]
        var options = AgentOptions(listener: -1, home: "")
        var rest = arguments[...]
        while let name = rest.popFirst() {
            if options.takeFlag(name) { continue }
            guard let value = rest.popFirst() else { return .wrong("\(name) has no value") }
            if name == "--walls" {
                guard let kind = Walls.Kind(rawValue: value) else { return .wrong("unknown walls \(value)") }
                options.walls = Walls(kind: kind)
            } else if options.walls?.take(name, value) == true {
                continue
            } else if name == "--env" {
                let parts = value.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                guard parts.count == 2, !parts[0].isEmpty else { return .wrong("--env needs NAME=VALUE") }
                options.environment[String(parts[0])] = String(parts[1])
            } else {
                values[name] = value
            }
        }
        return options.apply(values)
    }

    private mutating func takeFlag(_ name: String) -> Bool {
        switch name {
        case "--allow-host-paths": allowsHostPaths = true
        case "--identities": account = .user("", home: "")
        case "--sudo": allowsSudo = true
        case "--relay-ports": relaysPorts = true
        case "--init": isInit = true
        default: return false
        }
        return true
    }

    private mutating func apply(_ values: [String: String]) -> Command {
        var values = values
        let path = values.removeValue(forKey: "--egress-socket")
        let port = values.removeValue(forKey: "--egress-port").map { UInt16($0) ?? 0 }
        if path != nil || port != nil {
            guard let path, path.hasPrefix("/"), let port, port > 0 else {
                return .wrong("--egress-socket needs an absolute path, and --egress-port beside it")
            }
            egress = Egress(path: path, port: Int(port))
        }
        for (name, value) in values {
            switch name {
            case "--listen-fd": listener = Int32(value) ?? -1
            case "--listen-path": listenPath = value
            case "--ready-fd":
                guard let number = Int32(value), number >= 0 else { return .wrong("\(name) needs a descriptor") }
                readiness = number
            case "--home": home = value
            case "--workdir": workingDirectory = value
            case "--user": user = value
            case "--stall-limit", "--retention", "--grace":
                guard let limit = Int64(value), limit >= 0 else { return .wrong("\(name) needs milliseconds") }
                if name == "--stall-limit" { stallLimit = limit }
                if name == "--retention" { retention = limit }
                if name == "--grace" { terminationGrace = limit }
            default: return .wrong("unknown option \(name)")
            }
        }
        guard listenPath?.hasPrefix("/") ?? (listener >= 0) else {
            return .wrong("--listen-fd needs the number of a descriptor, or --listen-path an absolute path")
        }
        guard home.hasPrefix("/") else { return .wrong("--home needs an absolute path") }
        if workingDirectory.isEmpty { workingDirectory = home }
        guard workingDirectory.hasPrefix("/") else { return .wrong("--workdir needs an absolute path") }
        if account != nil { account = .user(user, home: home) }
        return .serve(self)
    }
}
