import CPlatform
import Glibc

/// A process as `/proc` shows it.
struct SystemProcess {
    /// The most generations that are climbed to find a process's origin.
    static let ancestryLimit = 64
    private static let statLimit = 4096

    var pid: pid_t
    var parent: pid_t
    var session: pid_t

    /// Everything that can be seen.
    static func all() -> [SystemProcess] {
        folderNames("/proc").compactMap { pid_t($0) }.compactMap { SystemProcess(pid: $0) }
    }

    /// nil when it is gone.
    init?(pid: pid_t) {
        guard let text = readText("/proc/\(pid)/stat", limit: Self.statLimit), let name = text.lastIndex(of: ")") else {
            return nil
        }
        // After the name, which may hold anything: state, parent, group, session.
        let fields = text[text.index(after: name)...].split(separator: " ")
        guard fields.count > 3, let parent = pid_t(fields[1]), let session = pid_t(fields[3]) else { return nil }
        self.pid = pid
        self.parent = parent
        self.session = session
    }

    /// Rounds of looking for those who were born while others were being killed.
    private static let killRounds = 16

    /// Kills every process of a session.
    static func killSession(_ session: pid_t) { killSessions { $0 == session } }

    static func killSessions(_ isMeant: (pid_t) -> Bool) {
        var killed: Set<pid_t> = []
        for _ in 0..<killRounds {
            let found = all().filter { isMeant($0.session) && !killed.contains($0.pid) }
            guard !found.isEmpty else { return }
            for process in found {
                kill(process.pid, SIGKILL)
                killed.insert(process.pid)
            }
        }
    }

    /// The inodes of the sockets it holds; empty when it may not be looked into.
    ///
    /// - Parameter account: as whom it is looked at again when it is not the agent's own to look into.
    func socketInodes(orAs account: Account?) -> Set<UInt64> {
        let own = socketInodes
        guard own.isEmpty, let account else { return own }
        return account.act { socketInodes }
    }

    private var socketInodes: Set<UInt64> {
        var inodes: Set<UInt64> = []
        for name in folderNames("/proc/\(pid)/fd") {
            let target = linkTarget("/proc/\(pid)/fd/\(name)") ?? ""
            guard target.hasPrefix("socket:["), let inode = UInt64(target.dropFirst(8).dropLast()) else { continue }
            inodes.insert(inode)
        }
        return inodes
    }
}

/// The names in a folder without `.` and `..`; empty when it cannot be read.
func folderNames(_ path: String) -> [String] {
    guard let folder = opendir(path) else { return [] }
    defer { closedir(folder) }
    var names: [String] = []
    while let entry = readdir(folder) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
            pointer.withMemoryRebound(to: CChar.self, capacity: Int(NAME_MAX) + 1) { String(cString: $0) }
        }
        if name != ".", name != ".." { names.append(name) }
    }
    return names
}

/// Where a symbolic link leads.
func linkTarget(_ path: String) -> String? {
    let bytes = [UInt8](unsafeUninitializedCapacity: Int(PATH_MAX)) { buffer, count in
        count = buffer.withMemoryRebound(to: CChar.self) { text in
            text.baseAddress.map { max(0, readlink(path, $0, text.count)) } ?? 0
        }
    }
    return bytes.isEmpty ? nil : String(decoding: bytes, as: UTF8.self)
}

/// At most `limit` bytes of a file, as text; nil when it cannot be read.
func readText(_ path: String, limit: Int) -> String? {
    let descriptor = berth_open_read(path)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    while bytes.count < limit, let part = readAvailable(descriptor, limit: limit - bytes.count), !part.isEmpty {
        bytes += part
    }
    return String(decoding: bytes, as: UTF8.self)
}
