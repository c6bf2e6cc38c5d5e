import CPlatform
import DeploymentCore
import Glibc

/// The open groups that a new child is put into before it runs.
struct GroupEntrance: Sendable {
    private let folder: Descriptor?
    private let tasks: [Descriptor]

    /// Opens the groups, which exist.
    init(_ groups: [GroupFolder]) throws {
        folder = try groups.first { $0.version == 2 }.map { try Descriptor(folder: $0.path) }
        tasks = try groups.filter { $0.version == 1 }.prefix(Int(BERTH_SPAWN_MAXIMUM_GROUPS)).map {
            try Descriptor(opening: "\($0.path)/tasks", flags: O_WRONLY)
        }
    }

    /// Calls `body` with what berth_spawn_inside takes.
    func with<Result>(_ body: (UnsafePointer<berth_groups>) -> Result) -> Result {
        var groups = berth_groups()
        groups.folder = folder?.number ?? -1
        groups.count = Int32(tasks.count)
        withUnsafeMutableBytes(of: &groups.tasks) { bytes in
            let numbers = bytes.assumingMemoryBound(to: Int32.self)
            for (index, file) in tasks.enumerated() { numbers[index] = file.number }
        }
        defer { withExtendedLifetime(self) {} }
        return body(&groups)
    }
}
