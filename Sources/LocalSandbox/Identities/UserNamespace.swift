import CPlatform
import DeploymentCore
import Glibc

/// User namespaces with ids of the host in them.
enum UserNamespace {
    /// The longest that newuidmap or newgidmap may take.
    static let helperLimit = Duration.seconds(5)
    private static let helpers = ["/usr/bin/newuidmap", "/usr/bin/newgidmap"]

    /// The first of package uidmap's programs that is not installed.
    static var missingHelper: String? { helpers.first { access($0, X_OK) != 0 } }

    /// Makes a namespace in which 0 to 65535 are the range; it lives as long as somebody is in it or holds it.
    ///
    /// - Parameter withUs: whether we are in it too, as the id after those: for work on what the range owns, never for
    ///   a sandbox.
    static func open(_ range: IdentityRange, needsHelpers: Bool, withUs: Bool = false) throws -> Descriptor {
        try Stage.turn.withLock { _ in
            var holder = berth_namespace_holder()
            try check(berth_namespace_begin(&holder), "no user namespace can be made")
            let result = Result { try write(range, for: holder.pid, needsHelpers: needsHelpers, withUs: withUs) }
            let number = berth_namespace_finish(&holder)
            let namespace = number >= 0 ? Descriptor(number) : nil
            try result.get()
            guard let namespace else { throw BerthError.system(-number, "a user namespace cannot be held") }
            return namespace
        }
    }

    private static func write(
        _ range: IdentityRange, for pid: Int32, needsHelpers: Bool, withUs: Bool
    ) throws {
        let maps = [("uid_map", helpers[0], range.users, getuid()), ("gid_map", helpers[1], range.groups, getgid())]
        for (file, helper, first, own) in maps {
            var rows = [["0", "\(first)", "\(IdentityRange.count)"]]
            if withUs { rows.append(["\(IdentityRange.count)", "\(own)", "1"]) }
            if needsHelpers {
                try run([helper, "\(pid)"] + rows.flatMap { $0 })
            } else {
                let text = rows.map { $0.joined(separator: " ") + "\n" }.joined()
                try KernelFile.write(text, to: "/proc/\(pid)/\(file)")
            }
        }
    }

    private static func run(_ command: [String]) throws {
        let output = Descriptor(try check(berth_memory_file("berth-ids"), "no memory file for \(command[0])'s output"))
        let child = try Child.spawn(command, environment: [:], folder: "/", descriptors: [(output, 2)])
        let status = child.wait(limit: helperLimit)
        if status == nil {
            child.kill()
            _ = child.wait(limit: helperLimit)
        }
        guard status == .exited(code: 0) else {
            throw BerthError(
                .sandbox,
                "\(command[0]) ends with \(status.map { "\($0)" } ?? "nothing"): \(NamespaceTrial.text(output))",
                suggestion: "give this user ids in /etc/subuid and /etc/subgid (usermod --add-subuids)")
        }
    }
}
