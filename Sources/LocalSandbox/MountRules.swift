import DeploymentCore
import Foundation
import Glibc
import Sandboxes

/// What may be mounted where, and the places for it.
enum MountRules {
    /// The most mounts of one sandbox.
    static let maximum = 256
    /// The longest hostname (HOST_NAME_MAX).
    static let hostnameLimit = 63
    private static let reserved = [
        "/proc", "/dev", "/sys", "/etc", "/tmp", "/run", "/usr", "/opt/berth", "/opt/models",
    ]

    /// Checks an id and its mounts.
    ///
    /// - Throws: `sandbox`, naming what is wrong.
    static func check(_ specification: SandboxSpecification) throws {
        guard SandboxFolder.isValid(specification.id) else {
            throw BerthError(
                .sandbox, "\(specification.id) is not a sandbox's id: 1 to 32 lower-case letters and digits")
        }
        guard specification.mounts.count <= maximum else {
            throw BerthError(.sandbox, "a sandbox has \(maximum) mounts at most, not \(specification.mounts.count)")
        }
        for mount in specification.mounts {
            for path in [mount.source, mount.target] where !isClean(path) {
                throw BerthError(.sandbox, "\(path) cannot be mounted: it is not a clean absolute path")
            }
            let target = mount.target
            guard target != BubblewrapCommand.home, target != "/home",
                !reserved.contains(where: { target == $0 || (target + "/").hasPrefix($0 + "/") })
                    || target == mount.source
            else { throw BerthError(.sandbox, "nothing can be mounted at \(target)") }
            guard access(mount.source, R_OK) == 0 else {
                throw BerthError.system(errno, "\(mount.source) cannot be mounted")
            }
        }
    }

    /// Makes the mount points below the home folder, which nobody has written to yet.
    static func makeMountPoints(_ mounts: [SandboxSpecification.Mount], home: String) throws {
        for mount in mounts {
            guard let place = place(of: mount, home: home) else { continue }
            if try isFolder(mount.source) {
                try makeFolders(place)
            } else {
                try makeFolders((place as NSString).deletingLastPathComponent)
                try SandboxFolder.write([], to: place, mode: 0o644)
            }
        }
    }

    /// The mount points below the home folder, relative to the sandbox's folder: parents first, folders with a slash.
    static func mountPoints(_ mounts: [SandboxSpecification.Mount]) throws -> [String] {
        var points: [String] = []
        for mount in mounts {
            guard let place = place(of: mount, home: "home") else { continue }
            let names = place.split(separator: "/")
            for count in 2..<max(2, names.count) { points.append(names.prefix(count).joined(separator: "/") + "/") }
            points.append(place + (try isFolder(mount.source) ? "/" : ""))
        }
        return points
    }

    /// Copies what has its place below the home folder; a link would let the app change the original. Whether any was.
    static func copyIntoHome(_ mounts: [SandboxSpecification.Mount], home: String) throws -> Bool {
        var copied = false
        for mount in mounts {
            guard place(of: mount, home: home) != nil else { continue }
            let place = String(mount.target.dropFirst(BubblewrapCommand.home.count))
            do {
                try HomeCopy.copy(mount.source, to: place, home: home)
            } catch let error as BerthError {
                throw BerthError(error.code, "\(mount.source) cannot be copied into the sandbox", cause: error)
            }
            copied = true
        }
        return copied
    }

    /// The host path of a target below the home folder; nil for other targets.
    static func place(of mount: SandboxSpecification.Mount, home: String) -> String? {
        guard mount.target.hasPrefix(BubblewrapCommand.home + "/") else { return nil }
        return home + mount.target.dropFirst(BubblewrapCommand.home.count)
    }

    /// A hostname out of a deployment's name.
    static func hostname(_ name: String) -> String {
        let allowed = name.lowercased().utf8.prefix(hostnameLimit).map { byte -> Character in
            let isPlain = (0x61...0x7A).contains(byte) || (0x30...0x39).contains(byte)
            return isPlain ? Character(Unicode.Scalar(byte)) : "-"
        }
        let text = String(allowed).trimmingCharacters(in: ["-"])
        return text.isEmpty ? "sandbox" : text
    }

    static func isClean(_ path: String) -> Bool {
        guard path.hasPrefix("/"), path.utf8.count > 1, path.utf8.count < PATH_MAX, !path.utf8.contains(0) else {
            return false
        }
        return path.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
            .allSatisfy { !$0.isEmpty && $0 != "." && $0 != ".." }
    }

    private static func isFolder(_ path: String) throws -> Bool {
        var status = stat()
        guard stat(path, &status) == 0 else { throw BerthError.system(errno, "\(path) cannot be mounted") }
        return status.st_mode & S_IFMT == S_IFDIR
    }

    private static func makeFolders(_ path: String) throws {
        do {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        } catch {
            throw BerthError(.sandbox, "\(path) cannot be made", cause: error)
        }
    }
}
