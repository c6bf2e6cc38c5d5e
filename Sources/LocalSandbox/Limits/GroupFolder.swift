import DeploymentCore
import Glibc

/// What a control group can count or limit.
enum GroupController: String, Sendable, Codable, CaseIterable {
    case memory
    case pids
    case cpu
    case cpuacct
    case freezer
}

/// A folder of a control group hierarchy.
struct GroupFolder: Sendable, Equatable, Codable {
    /// 1 or 2.
    var version: Int
    /// The controllers that work in it; version 2 counts processor time and freezes without any.
    var controllers: Set<GroupController>
    /// The absolute path.
    var path: String

    /// The group of this name below.
    func child(_ name: String) -> GroupFolder {
        GroupFolder(version: version, controllers: controllers, path: "\(path)/\(name)")
    }

    /// Makes the folder.
    func make() throws {
        guard mkdir(path, 0o755) != 0 else { return }
        throw BerthError.system(errno, "the control group \(path) cannot be made")
    }

    /// The processes in it.
    var members: [Int32] {
        KernelFile.text("\(path)/cgroup.procs")?.split(separator: "\n").compactMap { Int32($0) } ?? []
    }

    /// Kills whoever is in it and removes it; one that does not exist is no error.
    ///
    /// - Throws: `sandbox` when it is still in use at the deadline.
    func remove(until deadline: ContinuousClock.Instant) throws {
        while rmdir(path) != 0 {
            let number = errno
            if number == ENOENT || number == ENODEV { return }
            guard number == EBUSY, ContinuousClock.now < deadline else {
                throw BerthError.system(number, "the control group \(path) cannot be removed")
            }
            for pid in members where pid > 1 && pid != getpid() { kill(pid, SIGKILL) }
            // Processes leave a group a moment after their end was told.
            _ = poll(nil, 0, 1)
        }
    }
}
