import DeploymentCore
import Foundation
import Testing

/// A program that tries to get out of a sandbox, or to reach what belongs to others.
struct EscapeAttempt: Sendable, CustomTestStringConvertible {
    /// Where the same program does succeed, which proves that it is a real attempt.
    enum Control: Sendable {
        /// On the host, as whoever runs the tests.
        case outside
        /// On the host, for root.
        case outsideAsRoot
        /// In fresh namespaces with all capabilities over them, where it harms nobody.
        case ownNamespaces
    }

    let name: String
    /// The rungs that claim to stop it.
    let stoppedBy: Set<Isolation>
    let control: Control
    /// Whether kernels or machines exist where nobody can do it; a control that fails is told then, not an error.
    var isRare = false
    /// Whether root inside may do it, whom it concerns as little as anybody outside.
    var allowsRoot = false
    /// Whether it is stopped only where a sandbox has ids of its own.
    var needsIdentities = false
    /// The first version of Landlock that stops it.
    var landlock: Int32 = 1
    /// Python. It ends normally, or returns by `escaped`, when it got through; an OSError says what stopped it.
    let program: String

    var testDescription: String { name }

    static let all = files + kernelFiles + processes + mounts + kernel + network + identities

    /// Whether the rung claims to stop it on a kernel with this version of Landlock.
    func isStopped(by isolation: Isolation, landlock version: Int32) -> Bool {
        stoppedBy.contains(isolation) && (isolation != .landlock || version >= landlock)
    }
}

extension Set<Isolation> {
    /// The rungs that hide the host's files, sockets and processes.
    static let hiding: Self = [.gvisor, .namespaces, .landlock]
    /// The rungs with a filter of system calls.
    static let filtering: Self = [.gvisor, .namespaces, .landlock, .process]

    /// Those whose inhabitants call the host's kernel. gVisor's own answers what is left out here, for its inhabitant
    /// alone: its processes, its user namespaces, its log, its keys.
    var onHostKernel: Self { subtracting([.gvisor]) }
}

/// Runs attempts one after the other, each in a process of its own.
enum EscapeDriver {
    /// The longest that one attempt may take, in seconds.
    static let attemptLimit = 5

    /// What became of an attempt.
    struct Outcome: Codable, Equatable {
        var name: String
        /// `escaped`, `stopped` or, when the program itself is wrong, `broken`.
        var verdict: String
        /// What stopped it, or what it got.
        var how: String
    }

    private struct Job: Encodable {
        var facts: [String: String]
        var attempts: [[String]]
        var prelude: String
        var limit: Int
    }

    /// What the driver is given to read.
    static func job(_ attempts: [EscapeAttempt], facts: [String: String]) throws -> [UInt8] {
        let programs = attempts.map { [$0.name, $0.program] }
        return Array(
            try JSONEncoder().encode(Job(facts: facts, attempts: programs, prelude: prelude, limit: attemptLimit)))
    }

    /// What the driver wrote, by the attempts' names.
    static func outcomes(_ text: String) throws -> [String: Outcome] {
        let lines = text.split(separator: "\n")
        let outcomes = try lines.map { try JSONDecoder().decode(Outcome.self, from: Data($0.utf8)) }
        return Dictionary(outcomes.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    }

    static let script = """
        import errno, json, os, signal, sys
        job = json.load(open(sys.argv[1]))
        # Whoever started us may have blocked them.
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        for name, program in job["attempts"]:
            read, write = os.pipe()
            child = os.fork()
            if child == 0:
                os.close(read)
                os.setsid()
                signal.alarm(job["limit"])
                scope = {"facts": job["facts"], "got": None}
                try:
                    exec(compile(job["prelude"] + program, name, "exec"), scope)
                    verdict, how = "escaped", repr(scope["got"])
                except OSError as error:
                    verdict, how = "stopped", errno.errorcode.get(error.errno, str(error))
                except BaseException as error:
                    verdict, how = "broken", repr(error)
                os.write(write, json.dumps({"name": name, "verdict": verdict, "how": how[:200]}).encode())
                os._exit(0)
            os.close(write)
            status = os.waitpid(child, 0)[1]
            os.set_blocking(read, False)
            try:
                answer = os.read(read, 4096).decode()
            except BlockingIOError:
                answer = ""
            os.close(read)
            try:
                os.killpg(child, signal.SIGKILL)
            except OSError:
                pass
            if not answer:
                ended = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
                verdict = "stopped" if ended == signal.SIGSYS else "broken"
                answer = json.dumps({"name": name, "verdict": verdict, "how": "signal %d" % ended})
            print(answer, flush=True)
        """

    private static let prelude = """
        import ctypes, errno, fcntl, glob, os, platform, resource, signal, socket, struct, time
        libc = ctypes.CDLL(None, use_errno=True)
        libc.syscall.restype = ctypes.c_long
        secret = facts["secret"]
        x86 = platform.machine() == "x86_64"
        both = {"clone3": 435, "io_uring_setup": 425, "open_tree": 428, "fsopen": 430, "pidfd_getfd": 438,
                "mount_setattr": 442}
        numbers = {**both, **({
            "ptrace": 101, "process_vm_readv": 310, "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161,
            "setns": 308, "unshare": 272, "clone": 56, "bpf": 321, "perf_event_open": 298, "userfaultfd": 323,
            "add_key": 248, "keyctl": 250, "name_to_handle_at": 303, "open_by_handle_at": 304, "finit_module": 313,
            "kexec_load": 246, "reboot": 169, "swapon": 167, "settimeofday": 164, "iopl": 172, "personality": 135,
            "syslog": 103, "fanotify_init": 300, "shmat": 30, "sethostname": 170, "clock_settime": 227,
        } if x86 else {
            "ptrace": 117, "process_vm_readv": 270, "mount": 40, "umount2": 39, "pivot_root": 41, "chroot": 51,
            "setns": 268, "unshare": 97, "clone": 220, "bpf": 280, "perf_event_open": 241, "userfaultfd": 282,
            "add_key": 217, "keyctl": 219, "name_to_handle_at": 264, "open_by_handle_at": 265, "finit_module": 273,
            "kexec_load": 104, "reboot": 142, "swapon": 224, "settimeofday": 170, "personality": 92,
            "syslog": 116, "fanotify_init": 262, "shmat": 196, "sethostname": 161, "clock_settime": 112,
        })}
        def fail(number):
            raise OSError(number, os.strerror(number))
        def call(name, *arguments, reached=()):
            "A system call; an errno of `reached` says that only its arguments were refused."
            if name not in numbers: fail(errno.ENOSYS)
            given = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
            result = libc.syscall(ctypes.c_long(numbers[name]), *given)
            if result < 0 and ctypes.get_errno() not in reached: fail(ctypes.get_errno())
            return result
        def read(path):
            with open(path, "rb") as file:
                found = file.read(4096)
            if facts["content"].encode() not in found: fail(errno.ENODATA)
            return found
        def any_of(actions):
            "The first that works; otherwise what stopped the last."
            last = errno.ENOENT
            for action in actions:
                try: return action()
                except OSError as error: last = error.errno
            fail(last)
        def child():
            "A process of our own that waits."
            pid = os.fork()
            if pid == 0:
                time.sleep(60)
                os._exit(0)
            return pid
        def pids():
            return [name for name in os.listdir("/proc") if name.isdigit()]

        """
}
