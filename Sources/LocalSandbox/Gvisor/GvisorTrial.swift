import CPlatform
import DeploymentCore
import Glibc

/// Whether gVisor runs here, and on which platform, found by running a program in it.
struct GvisorTrial: Sendable {
    /// The longest that one trial may take.
    static let timeout = Duration.seconds(10)

    /// The platform that works; nil when none does.
    let platform: String?
    /// What was found, in words.
    let detail: String
    let suggestion: String?

    var works: Bool { platform != nil }

    static let missing = BerthError(
        .sandbox, "gVisor (runsc) is not installed", suggestion: installation)
    private static let installation =
        "install it for code that you do not trust: apt install runsc, or see https://gvisor.dev/docs/user_guide/install/"
    private static let verdicts = Locked<[String: GvisorTrial]>([:])

    /// The verdict of this process's first trial with these executables.
    static func cached(bubblewrap: String?, runsc: String?) -> GvisorTrial {
        let key = "\(bubblewrap ?? "")\n\(runsc ?? "")"
        if let verdict = verdicts.withLock({ $0[key] }) { return verdict }
        let verdict = run(bubblewrap: bubblewrap, runsc: runsc)
        verdicts.withLock { $0[key] = verdict }
        return verdict
    }

    /// Tries one platform after the other.
    static func run(bubblewrap: String?, runsc: String?) -> GvisorTrial {
        guard let runsc else {
            return GvisorTrial(platform: nil, detail: missing.message, suggestion: missing.suggestion)
        }
        guard let bubblewrap else {
            return GvisorTrial(
                platform: nil, detail: "gVisor is put into namespaces, but \(NamespaceTrial.missing.message)",
                suggestion: NamespaceTrial.missing.suggestion)
        }
        var failures: [String] = []
        for platform in GvisorCommand.platforms {
            let command = GvisorCommand(bubblewrap: bubblewrap, runsc: runsc, platform: platform)
            switch outcome(of: command) {
            case .works:
                return GvisorTrial(
                    platform: platform, detail: "a kernel of its own, gVisor on \(platform)", suggestion: nil)
            case .isOld:
                return GvisorTrial(
                    platform: platform,
                    detail:
                        "a kernel of its own, gVisor on \(platform), of an old version: ls and stat fail inside, Ctrl-C is a character",
                    suggestion: "install a newer runsc, such as that of Debian's backports")
            case .fails(let reason): failures.append("\(platform): \(reason)")
            }
        }
        let text = failures.joined(separator: "; ")
        return GvisorTrial(
            platform: nil, detail: "gVisor does not run here: \(text)", suggestion: NamespaceTrial.suggestion(text))
    }

    private enum Outcome {
        case works
        /// Programs run, but a call that the system's own ls(1) makes is not understood (statx(2) with
        /// AT_NO_AUTOMOUNT, until 2023).
        case isOld
        case fails(String)
    }

    /// What a program of the system finds in gVisor.
    private static func outcome(of command: GvisorCommand) -> Outcome {
        do {
            let output = Descriptor(
                try check(berth_memory_file("berth-trial"), "no memory file for gVisor's output"))
            let child = try Child.spawn(
                command.trial(), environment: [:], folder: "/",
                descriptors: [
                    (output, 1), (output, 2),
                    (try GvisorTrial.file(GvisorCommand.trialConfiguration()), GvisorCommand.configurationNumber),
                ])
            let status = child.wait(limit: timeout)
            guard let status else {
                child.kill()
                _ = child.wait(limit: timeout)
                return .fails("no end within \(timeout)")
            }
            if status == .exited(code: 0) { return .works }
            let text = NamespaceTrial.text(output)
            if status == .exited(code: 2), text.contains("ls: ") { return .isOld }
            return .fails(text.isEmpty ? "\(status)" : text)
        } catch {
            return .fails("\(error)")
        }
    }

    /// A file in memory with a configuration, at its beginning.
    static func file(_ configuration: OCIConfiguration) throws -> Descriptor {
        let file = Descriptor(try check(berth_memory_file("berth-bundle"), "no memory file for gVisor's configuration"))
        let bytes = try configuration.encoded()
        guard pwrite(file.number, bytes, bytes.count, 0) == bytes.count else {
            throw BerthError.system(errno, "gVisor's configuration cannot be written")
        }
        return file
    }
}
