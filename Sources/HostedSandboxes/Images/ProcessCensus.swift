import DeploymentCore
import E2BProtocol
import Glibc
import Sandboxes

/// Who runs in a sandbox beside its agent, and beside what its image starts.
struct ProcessCensus: Sendable, Equatable {
    /// The tag of the image's start command.
    static let startTag = SandboxImage.startTag
    /// What the code interpreter's server is called while code has left something in its kernels.
    static let interpreterInUse = "kernels-in-use"
    /// The most bytes of the kernel's word.
    private static let limit = 16 << 20

    /// A process.
    struct Member: Sendable, Equatable {
        var pid: Int
        var name: String
        var state: Character
        var parent: Int
        var session: Int

        /// Whether it was stopped by a signal, or by who traces it.
        var isStopped: Bool { state == "T" || state == "t" }
    }

    /// Processes of the user, and kernels that have run code; a snapshot cannot keep them.
    var users: [Member]
    /// Other processes of the start command, which a new sandbox starts anew.
    var restartable: [Member]

    /// Looks who is there.
    static func take(_ sandbox: HeldSandbox) async throws -> ProcessCensus {
        // The shell becomes cat, so that it is one process, whose parent is the agent.
        let process = try await sandbox.owner.start(
            ProcessSpecification(
                tag: "", command: ["/bin/sh", "-c", "exec cat /proc/[0-9]*/stat 2>/dev/null"], workingDirectory: "/"))
        var text: [UInt8] = []
        for try await event in process.events {
            if case .stdout(let bytes) = event { text += bytes }
            guard text.count <= limit else {
                throw BerthError(.sandbox, "sandbox \(sandbox.id) has too many processes")
            }
        }
        var members = parse(String(decoding: text, as: UTF8.self))
        guard let own = members.first(where: { $0.pid == process.pid }) else {
            throw BerthError(.sandbox, "the processes of sandbox \(sandbox.id) cannot be seen")
        }
        if sandbox.sharesHost {
            let marked = try await Self.marked(sandbox)
            members.removeAll { !marked.contains($0.pid) }
        }
        let starts = try await sandbox.agent.list().filter { $0.tag == startTag }.map(\.pid)
        return sort(members.filter { $0.pid != own.pid && $0.pid != own.parent && $0.pid != 1 }, starts: starts)
    }

    /// The processes that carry the sandbox's mark, where the host's are seen too.
    private static func marked(_ sandbox: HeldSandbox) async throws -> Set<Int> {
        let script = "exec grep -l -a -s \"BERTH_SANDBOX=\(sandbox.id)\" /proc/[0-9]*/environ"
        let process = try await sandbox.owner.start(
            ProcessSpecification(tag: "", command: ["/bin/sh", "-c", script], workingDirectory: "/"))
        var text: [UInt8] = []
        for try await event in process.events { if case .stdout(let bytes) = event { text += bytes } }
        let pids = String(decoding: text, as: UTF8.self).split(separator: "\n").compactMap { line in
            Int(line.dropFirst("/proc/".count).prefix { $0 != "/" })
        }
        return Set(pids).subtracting([process.pid])
    }

    static func sort(_ members: [Member], starts: [Int]) -> ProcessCensus {
        let living = members.filter { $0.state != "Z" && $0.state != "X" }
        var theirs = Set(starts)
        var grew = true
        while grew {
            let more = living.filter {
                !theirs.contains($0.pid) && (theirs.contains($0.parent) || starts.contains($0.session))
            }
            grew = !more.isEmpty
            theirs.formUnion(more.map(\.pid))
        }
        // The start command can be started again, but not to where the user's code has brought it.
        theirs.subtract(living.filter { $0.name == interpreterInUse }.map(\.pid))
        return ProcessCensus(
            users: living.filter { !theirs.contains($0.pid) }, restartable: living.filter { theirs.contains($0.pid) })
    }

    /// Reads lines of /proc/PID/stat (proc(5)); a name may hold anything but a line's end.
    static func parse(_ text: String) -> [Member] {
        text.split(separator: "\n").compactMap { line in
            guard let open = line.firstIndex(of: "("), let close = line.lastIndex(of: ")"), open < close,
                let pid = Int(line[..<open].trimmingPrefix { $0 == " " }.prefix { $0 != " " })
            else { return nil }
            let fields = line[line.index(after: close)...].split(separator: " ")
            guard fields.count > 3, let state = fields[0].first, let parent = Int(fields[1]),
                let session = Int(fields[3])
            else { return nil }
            let name = String(line[line.index(after: open)..<close])
            return Member(pid: pid, name: name, state: state, parent: parent, session: session)
        }
    }

    /// The names of the user's processes, for an error.
    var names: String {
        let shown = users.prefix(5).map { member in
            member.name == Self.interpreterInUse
                ? "the code interpreter (\(member.pid)), until the contexts that have run code are restarted or removed"
                : "\(member.name) (\(member.pid))"
        }.joined(separator: ", ")
        return users.count > 5 ? "\(shown) and \(users.count - 5) more" : shown
    }

    /// Stops all that run, so that no file changes under the reader; returns who was stopped.
    func stop(_ sandbox: HeldSandbox) async throws -> [Int] {
        let running = (users + restartable).filter { !$0.isStopped }.map(\.pid)
        try await Self.signal("STOP", running, sandbox)
        return running
    }

    /// Sends a signal to processes; those that are gone are no error.
    static func signal(_ name: String, _ pids: [Int], _ sandbox: HeldSandbox) async throws {
        guard !pids.isEmpty else { return }
        let script = "kill -\(name) \(pids.map(String.init).joined(separator: " ")) 2>/dev/null; true"
        let process = try await sandbox.owner.start(
            ProcessSpecification(tag: "", command: ["/bin/sh", "-c", script], workingDirectory: "/"))
        for try await _ in process.events {}
    }
}
