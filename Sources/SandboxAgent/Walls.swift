import CPlatform
import Glibc

/// What the agent puts around itself before it serves, where no namespaces were put around it.
public struct Walls: Sendable, Equatable {
    /// How much is put around.
    public enum Kind: String, Sendable, Equatable {
        /// No capabilities, no new ones, and a filter of system calls.
        case process
        /// That, a stricter filter, and Landlock.
        case landlock
    }

    /// The kind.
    public var kind: Kind
    /// Files and folders to read and execute.
    public var readable: [String] = []
    /// Files and folders to change.
    public var writable: [String] = []
    /// The TCP port to listen on.
    public var port: Int?

    /// What belongs to every system, beside the folders that are named.
    private static let system = [
        "/usr", "/bin", "/sbin", "/lib", "/lib64", "/lib32", "/proc", "/sys/devices/system", "/etc/ssl/certs",
        "/etc/ssl/openssl.cnf", "/etc/pki/tls/certs", "/etc/pki/ca-trust", "/etc/ca-certificates", "/etc/ld.so.cache",
        "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives",
        "/etc/localtime", "/etc/passwd", "/etc/group", "/etc/hosts", "/etc/nsswitch.conf",
    ]
    private static let devices = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"]
    /// The folder that a trial must not be able to list.
    private static let trialTarget = "/"

    /// Creates walls of a kind.
    public init(kind: Kind) { self.kind = kind }

    /// Takes one option; false when the value makes no sense.
    mutating func take(_ name: String, _ value: String) -> Bool {
        switch name {
        case "--readable": readable.append(value)
        case "--writable": writable.append(value)
        case "--port":
            guard let number = UInt16(value), number > 0 else { return false }
            port = Int(number)
        default: return false
        }
        return true
    }

    /// Puts them up, for this process and everything that it starts.
    ///
    /// - Returns: nil, or what failed; the agent must not serve then.
    func raise() -> String? {
        if case let error = berth_privileges_drop(), error < 0 { return Self.failure("dropping privileges", error) }
        if kind == .landlock, let failure = restrict() { return failure }
        let filter = kind == .landlock ? BERTH_FILTER_SHARED_HOST : BERTH_FILTER_COMMON
        if case let error = berth_filter_install(filter), error < 0 { return Self.failure("the seccomp filter", error) }
        return nil
    }

    private func restrict() -> String? {
        let version = berth_landlock_abi()
        guard version > 0 else { return Self.failure("Landlock", version) }
        let rules = berth_landlock_begin(version)
        guard rules >= 0 else { return Self.failure("Landlock", rules) }
        defer { close(rules) }
        let wanted = [
            (Self.system, BERTH_LANDLOCK_READ), (readable, BERTH_LANDLOCK_READ), (Self.devices, BERTH_LANDLOCK_USE),
            (writable, BERTH_LANDLOCK_WRITE),
        ]
        for (paths, access) in wanted {
            for path in paths {
                let error = berth_landlock_allow_path(rules, version, path, access)
                // What is not there, or cannot be seen, is not made reachable.
                guard error == 0 || error == -ENOENT || error == -EACCES else {
                    return Self.failure("the Landlock rule for \(path)", error)
                }
            }
        }
        if let port, case let error = berth_landlock_allow_port(rules, version, Int32(port)), error < 0 {
            return Self.failure("the Landlock rule for port \(port)", error)
        }
        let error = berth_landlock_enforce(rules)
        return error < 0 ? Self.failure("Landlock", error) : nil
    }

    /// Puts up the strongest walls and tries to get past them; prints the version of Landlock.
    ///
    /// - Returns: the exit code of the process: 0 when they hold.
    static func trial() -> Int32 {
        if let failure = Walls(kind: .landlock).raise() {
            Agent.complain(failure)
            return 1
        }
        let folder = open(trialTarget, O_RDONLY | O_DIRECTORY)
        guard folder < 0, errno == EACCES else {
            Agent.complain("Landlock lets a process list \(trialTarget)")
            return 1
        }
        guard berth_filter_holds() == 1 else {
            Agent.complain("the seccomp filter refuses nothing")
            return 1
        }
        print("landlock \(berth_landlock_abi())")
        return 0
    }

    private static func failure(_ what: String, _ error: Int32) -> String {
        "\(what) cannot be used here: \(errorText(-error))"
    }
}
