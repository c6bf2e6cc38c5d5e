import Foundation
import Glibc

/// Looks for what sandboxes may leave behind: processes, mounts, sockets, open files and folders.
public struct LeakAudit: Sendable {
    /// The folder that the sandboxes were made in.
    public let root: String
    /// The ids of the sandboxes, which their processes carry in `BERTH_SANDBOX`.
    public let sandboxes: [String]

    /// Creates an audit of sandboxes that should be gone.
    public init(root: String, sandboxes: [String]) {
        self.root = root.hasSuffix("/") ? String(root.dropLast()) : root
        self.sandboxes = sandboxes
    }

    /// What is left, each as one line; empty when nothing is.
    public func findings() -> [String] {
        processes() + mounts() + sockets() + openFiles() + folders() + controlGroups()
    }

    /// Control groups that carry a sandbox's id.
    public func controlGroups() -> [String] {
        let root = "/sys/fs/cgroup"
        var findings: [String] = []
        // Ours are made in our own group, or at the top of a hierarchy.
        for hierarchy in [""] + entries(of: root).map({ "/\($0)" }) {
            let own = lines(of: "/proc/self/cgroup").compactMap { line in
                line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false).last
            }
            for group in Set(own.map { $0 == "/" ? "" : String($0) } + [""]) {
                let folder = root + hierarchy + group
                findings += entries(of: folder).filter { name in
                    name.hasPrefix("berth-") && sandboxes.contains { name.hasSuffix("-\($0)") }
                }.map { "control group \(folder)/\($0)" }
            }
        }
        return findings
    }

    /// Processes that carry a sandbox's id, or the folder in their command line or working directory.
    public func processes() -> [String] {
        entries(of: "/proc").compactMap { Int32($0) }.filter { $0 != getpid() && !isZombie($0) }.compactMap { pid in
            let arguments = bytes(of: "/proc/\(pid)/cmdline")
            // Those with ids of their own show a plain user only their arguments, which have the marker too.
            let environment = bytes(of: "/proc/\(pid)/environ").split(separator: 0) + arguments.split(separator: 0)
            let command = String(decoding: arguments.map { $0 == 0 ? 32 : $0 }, as: UTF8.self)
            let markers = Set(sandboxes.map { Array("BERTH_SANDBOX=\($0)".utf8) })
            let isMarked = environment.contains { markers.contains(Array($0)) }
            let isNamed = sandboxes.contains { command.contains("BERTH_SANDBOX=\($0)") }
            guard isMarked || isNamed || command.contains(root) || (link("/proc/\(pid)/cwd") ?? "").hasPrefix(root)
            else {
                return nil
            }
            return "process \(pid): \(command.prefix(120))"
        }
    }

    /// Mounts in our own namespace that lead into the folder.
    public func mounts() -> [String] {
        lines(of: "/proc/self/mountinfo").filter { $0.contains(root) }.map { "mount \($0)" }
    }

    /// Unix sockets bound in a sandbox's folder.
    public func sockets() -> [String] {
        lines(of: "/proc/net/unix")
            .filter { line in line.contains(root) || sandboxes.contains { line.contains("/\($0)/") } }
            .map { "socket \($0)" }
    }

    /// Our own descriptors of files in a sandbox's folder.
    public func openFiles() -> [String] {
        entries(of: "/proc/self/fd").compactMap { number in
            guard let target = link("/proc/self/fd/\(number)") else { return nil }
            return sandboxes.contains { target.contains("/\($0)/") } ? "open file \(target)" : nil
        }
    }

    /// What lies in the folder.
    public func folders() -> [String] { entries(of: root).map { "folder \(root)/\($0)" } }

    private func isZombie(_ pid: Int32) -> Bool {
        let stat = String(decoding: bytes(of: "/proc/\(pid)/stat"), as: UTF8.self)
        return stat.split(separator: ")").last?.split(separator: " ").first == "Z"
    }

    private func entries(of folder: String) -> [String] {
        (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    }

    private func lines(of path: String) -> [String] {
        String(decoding: bytes(of: path), as: UTF8.self).split(separator: "\n").map(String.init)
    }

    private func link(_ path: String) -> String? { try? FileManager.default.destinationOfSymbolicLink(atPath: path) }

    private func bytes(of path: String) -> [UInt8] {
        guard let file = FileHandle(forReadingAtPath: path) else { return [] }
        defer { try? file.close() }
        return (try? file.readToEnd()).flatMap { $0 }.map { Array($0) } ?? []
    }
}
