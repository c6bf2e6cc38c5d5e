/// How far a sandbox keeps its inhabitant from the machine; ordered from weakest to strongest.
public enum Isolation: String, Sendable, Codable, CaseIterable, Comparable {
    /// A process of the same user without capabilities, behind a filter of system calls; it sees what the user sees.
    /// Announced, never silent.
    case process
    /// That, with Landlock: its own files and port, the system and its environment read-only, no connections.
    case landlock
    /// Own user, mount, pid, net, ipc and uts namespaces, no capabilities, a filter of system calls.
    case namespaces
    /// Those namespaces, and in them gVisor: a kernel in user space that answers the app's system calls itself.
    case gvisor

    /// Whether paths and ports inside are those of the host, so that every sandbox needs a port of its own.
    public var sharesHost: Bool { self < .namespaces }

    /// Whether only those get it who ask for it, since it costs speed.
    public var isOnRequest: Bool { self == .gvisor }

    /// The order of the ladder.
    public static func < (left: Isolation, right: Isolation) -> Bool {
        (allCases.firstIndex(of: left) ?? 0) < (allCases.firstIndex(of: right) ?? 0)
    }
}

/// What a sandbox is for; written beside it, so that orphans are found and foreign sandboxes are left alone.
public struct SandboxLabels: Sendable, Equatable, Codable {
    /// The deployment's name.
    public var deployment: String
    /// The revision's nonce: unique for each rollout.
    public var nonce: String
    /// The rollout that made it: the idempotency key of its creation.
    public var rollout: String

    /// What those that belong to clients, not to a deployment, have instead of a rollout.
    public static let hosted = "hosted"
    /// Whether it belongs to a client.
    public var isHosted: Bool { rollout == Self.hosted }

    /// Creates labels.
    public init(deployment: String, nonce: String, rollout: String) {
        self.deployment = deployment
        self.nonce = nonce
        self.rollout = rollout
    }
}

/// How a process ended.
public enum ExitStatus: Sendable, Equatable, Codable, CustomStringConvertible {
    case exited(code: Int32)
    case signalled(Int32)

    /// `exit code 1`, or `signal 9 (killed)`.
    public var description: String {
        switch self {
        case .exited(let code): "exit code \(code)"
        case .signalled(let signal): "signal \(signal)\(Self.names[signal].map { " (\($0))" } ?? "")"
        }
    }

    private static let names: [Int32: String] = [
        2: "interrupted", 4: "illegal instruction", 6: "aborted", 7: "bus error", 8: "arithmetic error",
        9: "killed", 11: "segmentation fault", 15: "terminated",
    ]
}
