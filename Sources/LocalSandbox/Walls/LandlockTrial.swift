import CPlatform
import DeploymentCore
import Glibc

/// Whether Landlock and the system call filter hold here, found by an agent that puts them up and runs against them.
struct LandlockTrial: Sendable {
    /// The longest that one trial may take.
    static let timeout = Duration.seconds(5)

    let works: Bool
    /// What was found, in words.
    let detail: String
    let suggestion: String?

    private static let verdicts = Locked<[String: LandlockTrial]>([:])

    /// The verdict of this process's first trial with this agent.
    static func cached(_ agent: String) -> LandlockTrial {
        if let verdict = verdicts.withLock({ $0[agent] }) { return verdict }
        let verdict = run(agent)
        verdicts.withLock { $0[agent] = verdict }
        return verdict
    }

    /// Tries.
    static func run(_ agent: String) -> LandlockTrial {
        do {
            let output = Descriptor(
                try check(berth_memory_file("berth-trial"), "no memory file for the agent's output"))
            let child = try Child.spawn(
                [agent, "--walls-trial"], environment: [:], folder: "/", descriptors: [(output, 1), (output, 2)])
            let status = child.wait(limit: timeout)
            if status == nil {
                child.kill()
                _ = child.wait(limit: timeout)
            }
            let text = NamespaceTrial.text(output)
            guard status == .exited(code: 0), text.hasPrefix("landlock ") else {
                return LandlockTrial(
                    works: false, detail: text.isEmpty ? "the agent's trial fails" : text, suggestion: suggestion())
            }
            return LandlockTrial(works: true, detail: text, suggestion: nil)
        } catch {
            return LandlockTrial(works: false, detail: "\(error)", suggestion: nil)
        }
    }

    /// What the kernel's Landlock covers, in words.
    static func coverage(_ version: Int32 = berth_landlock_abi()) -> String {
        var parts = ["files"]
        if version >= 4 { parts.append("TCP") }
        if version >= 6 { parts += ["signals", "abstract sockets"] }
        let last = parts.removeLast()
        return parts.isEmpty ? last : parts.joined(separator: ", ") + " and " + last
    }

    private static func suggestion() -> String? {
        switch berth_landlock_abi() {
        case -ENOSYS: "Landlock comes with Linux 5.13, or is blocked by this container's seccomp profile"
        case -EOPNOTSUPP: "switch Landlock on: add it to the kernel's boot parameter, as in lsm=landlock,…"
        default: nil
        }
    }
}
