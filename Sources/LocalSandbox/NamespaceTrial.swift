import CPlatform
import DeploymentCore
import Glibc

/// Whether bubblewrap can build its walls here, found by building them once around /bin/true.
struct NamespaceTrial: Sendable {
    /// The longest that one trial may take.
    static let timeout = Duration.seconds(5)

    let works: Bool
    /// What was found, in words.
    let detail: String
    let suggestion: String?
    let duration: Duration

    static let missing = BerthError(
        .sandbox, "bubblewrap (bwrap) is not installed", suggestion: installation)
    private static let installation = "install it: apt install bubblewrap, or dnf install bubblewrap"
    private static let verdicts = Locked<[String: NamespaceTrial]>([:])

    /// The verdict of this process's first trial with this executable.
    static func cached(_ bubblewrap: String?) -> NamespaceTrial {
        if let verdict = verdicts.withLock({ $0[bubblewrap ?? ""] }) { return verdict }
        let verdict = run(bubblewrap)
        verdicts.withLock { $0[bubblewrap ?? ""] = verdict }
        return verdict
    }

    /// Tries.
    static func run(_ bubblewrap: String?) -> NamespaceTrial {
        guard let bubblewrap else {
            return NamespaceTrial(
                works: false, detail: missing.message, suggestion: installation, duration: .zero)
        }
        let start = ContinuousClock.now
        do {
            let output = Descriptor(
                try check(berth_memory_file("berth-trial"), "no memory file for bubblewrap's output"))
            let filter = Descriptor(
                try check(berth_filter_file(BERTH_FILTER_COMMON), "no filter of system calls for bubblewrap"))
            let child = try Child.spawn(
                BubblewrapCommand(program: bubblewrap).trial(), environment: [:], folder: "/",
                descriptors: [(output, 2), (filter, BubblewrapCommand.trialFilterNumber)])
            let status = child.wait(limit: timeout)
            let duration = ContinuousClock.now - start
            guard let status else {
                child.kill()
                _ = child.wait(limit: timeout)
                return NamespaceTrial(
                    works: false, detail: "bubblewrap does not end within \(timeout)", suggestion: nil,
                    duration: duration)
            }
            if status == .exited(code: 0) {
                return NamespaceTrial(
                    works: true,
                    detail: "bubblewrap builds user, mount, pid, net, ipc and uts namespaces and a system call filter",
                    suggestion: nil, duration: duration)
            }
            let text = Self.text(output)
            return NamespaceTrial(
                works: false, detail: "bubblewrap ends with \(status): \(text)", suggestion: suggestion(text),
                duration: duration)
        } catch {
            return NamespaceTrial(
                works: false, detail: "\(error)", suggestion: nil, duration: ContinuousClock.now - start)
        }
    }

    /// What helps, judging by what bubblewrap said and how the kernel is set.
    static func suggestion(_ log: String) -> String? {
        guard log.contains("ermission") || log.contains("not permitted") || log.contains("No space left") else {
            return nil
        }
        if setting("kernel/unprivileged_userns_clone") == "0" {
            return "allow user namespaces: sysctl -w kernel.unprivileged_userns_clone=1"
        }
        if setting("user/max_user_namespaces") == "0" {
            return "allow user namespaces: sysctl -w user.max_user_namespaces=15000"
        }
        if setting("kernel/apparmor_restrict_unprivileged_userns") == "1" {
            return "allow user namespaces: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, "
                + "or load an AppArmor profile for bwrap that has `userns,`"
        }
        return "user namespaces are blocked, as a container's seccomp profile does: start the container with "
            + "--security-opt seccomp=unconfined, or set BERTH_ISOLATION=landlock"
    }

    private static func setting(_ name: String) -> String? {
        ProcessTable.read("/proc/sys/\(name)").map { String(decoding: $0.filter { $0 > 0x20 }, as: UTF8.self) }
    }

    /// What was written, in one line.
    static func text(_ output: Descriptor) -> String {
        var bytes = [UInt8](repeating: 0, count: 1024)
        let count = pread(output.number, &bytes, bytes.count, 0)
        let text = String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
        return text.split(separator: "\n").joined(separator: "; ")
    }
}
