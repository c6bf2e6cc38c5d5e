import DeploymentCore
import Foundation
import Glibc

/// Which sandbox of this machine has which range: a file for each, so that several control planes agree.
struct IdentityRegister: Sendable {
    /// How old an entry has to be before it is looked whether its sandbox exists, in seconds.
    static let draftAge = 60
    private static let entryLimit = 8192
    /// With more ranges than these one is kept for sandboxes with volumes; with fewer it is any sandbox's too.
    private static let leastKept = 2

    /// The folder of the entries, of this user alone; gone after a reboot, as every sandbox is.
    let folder: String

    /// Where this user's register is.
    static let own = IdentityRegister(
        folder: getuid() == 0
            ? "/run/berth/ids"
            : (getenv("XDG_RUNTIME_DIR").map { String(cString: $0) } ?? "/run/user/\(getuid())") + "/berth/ids")

    /// Takes a range that nobody has, and notes the sandbox's folder with it.
    ///
    /// - Throws: `sandbox` when all are taken.
    func claim(_ grant: IdentityGrant, for sandbox: String) throws -> IdentityRange {
        if grant.ranges == 1 { return grant.range(0) }
        let count = grant.ranges > Self.leastKept ? grant.ranges - 1 : grant.ranges
        let lock: Descriptor
        do {
            if access(folder, F_OK) != 0 {
                try FileManager.default.createDirectory(
                    atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
            }
            lock = try Descriptor(folder: folder)
        } catch  where grant.needsHelpers {
            // Without a folder to agree in, all of a plain user's sandboxes have the same ids.
            var range = grant.range(0)
            range.isShared = true
            return range
        }
        guard flock(lock.number, LOCK_EX) == 0 else { throw BerthError.system(errno, "\(folder) cannot be locked") }
        let first = Int.random(in: 0..<count)
        for step in 0..<count {
            let range = grant.range((first + step) % count)
            let path = "\(folder)/\(range.users)"
            if try isTaken(path) { continue }
            try SandboxFolder.write(Array(sandbox.utf8), to: path)
            return range
        }
        throw BerthError(
            .sandbox, "all \(count) ranges of ids are taken by sandboxes",
            suggestion: "destroy some, or grant more ids in /etc/subuid and /etc/subgid")
    }

    /// The range that all sandboxes with volumes have, so that they agree on who owns a file: always the last one, since
    /// files keep it for years.
    static func volumes(_ grant: IdentityGrant) -> IdentityRange {
        var range = grant.range(grant.ranges - 1)
        range.isShared = true
        return range
    }

    /// Gives a range back, once nothing of the sandbox is left.
    func release(_ range: IdentityRange, of sandbox: String) {
        let path = "\(folder)/\(range.users)"
        guard let holder = try? SandboxFolder.read(path, limit: Self.entryLimit), holder == Array(sandbox.utf8) else {
            return
        }
        unlink(path)
    }

    /// Whether the entry belongs to a sandbox that exists, or that may be in the making.
    private func isTaken(_ path: String) throws -> Bool {
        var status = stat()
        guard lstat(path, &status) == 0 else { return false }
        guard time(nil) - status.st_mtim.tv_sec > Self.draftAge,
            let holder = try SandboxFolder.read(path, limit: Self.entryLimit)
        else { return true }
        return access(String(decoding: holder, as: UTF8.self), F_OK) == 0
    }
}
