import CPlatform
import DeploymentCore
import Glibc

/// A process and what tells it from a later one with the same number.
struct ProcessIdentity: Sendable, Hashable, Codable {
    var pid: Int32
    /// Ticks since boot, field 22 of /proc/<pid>/stat (proc(5)).
    var startTime: UInt64
}

/// One row of /proc/<pid>/stat.
struct ProcessEntry: Sendable {
    var identity: ProcessIdentity
    var parent: Int32
    var session: Int32
    /// R, S, D, Z, …
    var state: UInt8

    /// Whether it is dead and only waits to be collected.
    var isDead: Bool { state == UInt8(ascii: "Z") || state == UInt8(ascii: "X") }
}

/// What /proc says about the processes of this machine.
enum ProcessTable {
    /// The variable that every process of a sandbox is started with; its value is the sandbox's id.
    static let marker = "BERTH_SANDBOX"
    /// The most bytes of one file of /proc that are looked at.
    static let fileLimit = 256 << 10

    /// The row of one process; nil when there is none.
    static func entry(_ pid: Int32) -> ProcessEntry? {
        guard let text = read("/proc/\(pid)/stat"), let close = text.lastIndex(of: UInt8(ascii: ")")) else {
            return nil
        }
        // The name before the parenthesis may hold anything, so fields are counted from behind it: state is the 3rd.
        let fields = text[(close + 1)...].split(separator: UInt8(ascii: " "))
        guard fields.count > 19, let state = fields[0].first, let parent = number(fields[1]),
            let session = number(fields[3]), let start = number(fields[19])
        else { return nil }
        return ProcessEntry(
            identity: ProcessIdentity(pid: pid, startTime: UInt64(start)), parent: Int32(truncatingIfNeeded: parent),
            session: Int32(truncatingIfNeeded: session), state: state)
    }

    /// Whether this very process runs.
    static func isAlive(_ identity: ProcessIdentity) -> Bool {
        guard let entry = entry(identity.pid) else { return false }
        return entry.identity == identity && !entry.isDead
    }

    /// Whether the process was started for the sandbox `id`.
    static func isMarked(_ pid: Int32, id: String) -> Bool {
        guard let words = read("/proc/\(pid)/environ") ?? foreignArguments(pid) else { return false }
        if words.isEmpty { return isMarkedByArgument(pid, id: id) }
        let wanted = [0] + Array("\(marker)=\(id)".utf8) + [0]
        let whole = [0] + words + [0]
        return berth_contains(whole, whole.count, wanted, wanted.count) == 1
    }

    /// The arguments of a process whose variables a plain user cannot read, as it has ids that were granted to him: the
    /// launcher and the agent are told the marker. nil for everybody else's processes.
    private static func foreignArguments(_ pid: Int32) -> [UInt8]? {
        var status = stat()
        guard getuid() != 0, stat("/proc/\(pid)", &status) == 0, status.st_uid >= IdentityRange.count else {
            return nil
        }
        return read("/proc/\(pid)/cmdline")
    }

    /// gVisor's processes drop their variables; they name a folder after the marker instead.
    private static func isMarkedByArgument(_ pid: Int32, id: String) -> Bool {
        guard let arguments = read("/proc/\(pid)/cmdline"), !arguments.isEmpty else { return false }
        let wanted = Array("/\(marker)=\(id)".utf8) + [0]
        return berth_contains(arguments, arguments.count, wanted, wanted.count) == 1
    }

    /// All rows, by process id.
    static func all() -> [Int32: ProcessEntry] {
        guard let folder = opendir("/proc") else { return [:] }
        defer { closedir(folder) }
        var entries: [Int32: ProcessEntry] = [:]
        while let row = readdir(folder) {
            guard let pid = Int32(row.name), let entry = entry(pid) else { continue }
            entries[pid] = entry
        }
        return entries
    }

    /// The processes of a sandbox that are not dead: those started for it, their descendants, and their sessions.
    static func members(of id: String, roots: [ProcessIdentity]) -> [ProcessEntry] {
        let table = all()
        var found = Set(roots.filter { table[$0.pid]?.identity == $0 }.map(\.pid))
        for pid in table.keys where isMarked(pid, id: id) { found.insert(pid) }
        var sessions = Set<Int32>()
        var grew = !found.isEmpty
        while grew {
            // Only a session that a member leads is the sandbox's own; otherwise it may be the session we run in.
            for pid in found where table[pid]?.session == pid { sessions.insert(pid) }
            let more = table.values.filter {
                !found.contains($0.identity.pid) && (found.contains($0.parent) || sessions.contains($0.session))
            }
            found.formUnion(more.map(\.identity.pid))
            grew = !more.isEmpty
        }
        return found.compactMap { table[$0] }.filter { !$0.isDead }
    }

    /// What tells this boot from every other.
    static let boot: String =
        read("/proc/sys/kernel/random/boot_id").map { String(decoding: $0, as: UTF8.self) }?
        .filter { !$0.isNewline } ?? ""

    /// A file of /proc; nil when it cannot be read.
    static func read(_ path: String) -> [UInt8]? {
        guard let file = try? Descriptor(opening: path, flags: O_RDONLY) else { return nil }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while bytes.count < fileLimit {
            let count = Glibc.read(file.number, &chunk, chunk.count)
            guard count >= 0 else { return nil }
            guard count > 0 else { break }
            bytes += chunk[..<count]
        }
        return bytes
    }

    private static func number(_ field: ArraySlice<UInt8>) -> Int64? { Int64(String(decoding: field, as: UTF8.self)) }
}

extension UnsafeMutablePointer<dirent> {
    /// The name of a directory entry with its final zero.
    var bytes: [CChar] {
        withUnsafeBytes(of: &pointee.d_name) { field in
            field.prefix { $0 != 0 }.map { CChar(bitPattern: $0) } + [0]
        }
    }

    /// The name of a directory entry of our own.
    var name: String { String(decoding: bytes.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self) }
}
