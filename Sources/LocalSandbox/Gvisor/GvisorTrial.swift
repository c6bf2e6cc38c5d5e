import CPlatform
import DeploymentCore
import Glibc

/// Whether gVisor runs here, and on which platform, found by running /bin/true in it.
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
            guard let failure = failure(of: command) else {
                return GvisorTrial(
                    platform: platform, detail: "a kernel of its own, gVisor on \(platform)", suggestion: nil)
            }
            failures.append("\(platform): \(failure)")
        }
        let text = failures.joined(separator: "; ")
        return GvisorTrial(
            platform: nil, detail: "gVisor does not run here: \(text)", suggestion: NamespaceTrial.suggestion(text))
    }

    /// Why a program does not run in gVisor; nil when it does.
    private static func failure(of command: GvisorCommand) -> String? {
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
                return "no end within \(timeout)"
            }
            if status == .exited(code: 0) { return nil }
            let text = NamespaceTrial.text(output)
            return text.isEmpty ? "\(status)" : text
        } catch {
            return "\(error)"
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
