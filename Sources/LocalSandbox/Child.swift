import CPlatform
import DeploymentCore
import Glibc

/// A process that we started and have to collect.
final class Child: Sendable {
    let pid: Int32
    private let pidfd: Descriptor

    private init(pid: Int32, pidfd: Descriptor) {
        self.pid = pid
        self.pidfd = pidfd
    }

    /// Starts a program in a session of its own, with no descriptor but those given (source → number in the child).
    ///
    /// - Parameter entrance: the control groups that it is in before it runs.
    static func spawn(
        _ arguments: [String], environment: [String: String], folder: String?, descriptors: [(Descriptor, Int32)],
        entrance: GroupEntrance? = nil
    ) throws -> Child {
        guard let program = arguments.first else { throw BerthError(.internalError, "there is nothing to start") }
        let variables = environment.map { "\($0.key)=\($0.value)" }.sorted()
        let mappings = descriptors.map { berth_fd_mapping(source: $0.0.number, target: $0.1) }
        var pid: pid_t = 0
        let result = withCStrings(arguments) { argv in
            withCStrings(variables) { envp in
                let count = Int32(mappings.count)
                guard let entrance else { return berth_spawn(&pid, program, argv, envp, folder, mappings, count, 1) }
                return entrance.with {
                    berth_spawn_inside(&pid, program, argv, envp, folder, mappings, count, 1, $0)
                }
            }
        }
        withExtendedLifetime(descriptors) {}
        try check(result, "\(program) cannot be started")
        return try watch(pid, program)
    }

    /// Starts a launcher as root of a user namespace with ids of its own.
    static func spawn(
        _ arguments: [String], environment: [String: String], descriptors: [(Descriptor, Int32)],
        entrance: GroupEntrance? = nil, stage: Stage
    ) throws -> Child {
        guard let program = arguments.first else { throw BerthError(.internalError, "there is nothing to start") }
        let entrance = try entrance ?? GroupEntrance([])
        let variables = environment.map { "\($0.key)=\($0.value)" }.sorted()
        let mappings = descriptors.map { berth_fd_mapping(source: $0.0.number, target: $0.1) }
        var pid: pid_t = 0
        let (result, failure) = Stage.turn.withLock { _ in
            withCStrings(arguments) { argv in
                withCStrings(variables) { envp in
                    stage.with { staging in
                        entrance.with {
                            berth_spawn_staged(&pid, program, argv, envp, mappings, Int32(mappings.count), $0, staging)
                        }
                    }
                }
            }
        }
        withExtendedLifetime((descriptors, stage)) {}
        try check(result, "\(program) cannot be started with ids of its own\(failure.isEmpty ? "" : ": \(failure)")")
        return try watch(pid, program)
    }

    private static func watch(_ pid: Int32, _ program: String) throws -> Child {
        let pidfd = berth_pidfd_open(pid)
        guard pidfd >= 0 else {
            // Not collected yet, so the number is still ours.
            kill(pid, SIGKILL)
            waitpid(pid, nil, 0)
            throw BerthError.system(-pidfd, "\(program) cannot be watched")
        }
        return Child(pid: pid, pidfd: Descriptor(pidfd))
    }

    /// A copy of the pidfd.
    func watchDescriptor() throws -> Descriptor {
        let copy = fcntl(pidfd.number, F_DUPFD_CLOEXEC, 0)
        guard copy >= 0 else { throw BerthError.system(errno, "process \(pid) cannot be watched") }
        return Descriptor(copy)
    }

    /// How it ended; nil while it runs, and after the first answer.
    func reap() -> ExitStatus? {
        var code: Int32 = 0
        var signalled: Int32 = 0
        guard berth_pidfd_reap(pidfd.number, &code, &signalled) == 1 else { return nil }
        return signalled == 0 ? .exited(code: code) : .signalled(code)
    }

    /// Waits for the end on this thread; nil when it still runs after `limit`.
    func wait(limit: Duration) -> ExitStatus? {
        _ = berth_pidfd_wait(pidfd.number, limit.wholeMilliseconds)
        return reap()
    }

    func kill() { _ = berth_pidfd_signal(pidfd.number, SIGKILL) }

    private static func kill(_ pid: Int32, _ signal: Int32) { _ = Glibc.kill(pid, signal) }
}

extension Duration {
    /// Milliseconds, at least 0.
    var wholeMilliseconds: Int32 {
        let (seconds, attoseconds) = components
        return Int32(clamping: max(0, seconds * 1000 + attoseconds / 1_000_000_000_000_000))
    }
}
