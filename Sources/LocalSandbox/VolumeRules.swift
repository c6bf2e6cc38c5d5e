import DeploymentCore
import Foundation
import Glibc
import Sandboxes

/// Where volumes may be shown, and whose they are.
enum VolumeRules {
    /// The most volumes of one sandbox.
    static let maximum = 32
    /// Places whose content is made for each sandbox, or is the host's.
    private static let reserved = [
        "/proc", "/dev", "/sys", "/etc", "/run", "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/opt/berth",
        "/opt/models",
    ]
    /// Places below which one may be, but not in their stead.
    private static let kept = ["/tmp", "/root", BubblewrapCommand.home]

    /// Checks what a sandbox wants to write to.
    ///
    /// - Throws: `usage`, naming what cannot be.
    static func check(_ specification: SandboxSpecification, on isolation: Isolation) throws {
        let volumes = specification.volumes
        guard !volumes.isEmpty else { return }
        guard isolation == .namespaces else {
            throw BerthError(
                .usage, "volumes cannot be mounted: sandboxes here are on the rung \(isolation.rawValue)",
                suggestion: "they need namespaces; `berth doctor` says what keeps them away")
        }
        guard volumes.count <= maximum else {
            throw BerthError(.usage, "a sandbox has \(maximum) volumes at most, not \(volumes.count)")
        }
        var taken = specification.mounts.map(\.target)
        for volume in volumes {
            let target = volume.target
            guard MountRules.isClean(target) else {
                throw BerthError(.usage, "no volume can be mounted at '\(target)': it is not a clean absolute path")
            }
            guard !reserved.contains(where: { touches($0, target) }), !kept.contains(where: { contains(target, $0) })
            else { throw BerthError(.usage, "no volume can be mounted at \(target), which belongs to the system") }
            if let other = taken.first(where: { touches($0, target) }) {
                throw BerthError(.usage, "no volume can be mounted at \(target): \(other) is mounted too")
            }
            taken.append(target)
        }
    }

    /// Makes sure that those inside own a volume: a new one is given to them.
    ///
    /// - Throws: `conflict` when its files belong to others, as after a change of the host's ids.
    static func prepare(_ source: String, for range: IdentityRange?) throws {
        // Once it is given away, somebody may write to it, and it would look foreign to whoever looked before.
        try turn.withLock { _ in try prepareAlone(source, for: range) }
    }

    private static let turn = Locked(())

    private static func prepareAlone(_ source: String, for range: IdentityRange?) throws {
        var status = stat()
        guard lstat(source, &status) == 0 else { throw BerthError.system(errno, "\(source) cannot be mounted") }
        guard status.st_mode & S_IFMT == S_IFDIR else {
            throw BerthError(.sandbox, "\(source) cannot be mounted: it is no folder")
        }
        guard let range else {
            if status.st_uid == getuid() { return }
            throw foreign(source)
        }
        if range.has(user: status.st_uid) { return }
        let isNew = try status.st_uid == getuid() && FileManager.default.contentsOfDirectory(atPath: source).isEmpty
        guard isNew else { throw foreign(source) }
        try IdentityWork.give(source, to: range)
    }

    private static func foreign(_ source: String) -> BerthError {
        BerthError(
            .conflict, "\(source) cannot be mounted: its files belong to other ids than sandboxes have now",
            suggestion: "start berth with the BERTH_IDS, /etc/subuid and /etc/subgid that it was made with")
    }

    /// Whether one place lies in the other, or is it.
    private static func touches(_ one: String, _ other: String) -> Bool { contains(one, other) || contains(other, one) }

    private static func contains(_ outer: String, _ inner: String) -> Bool { (inner + "/").hasPrefix(outer + "/") }
}
